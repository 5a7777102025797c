//! URLs, and the stores that they name.

use super::failures::innermost;
use super::options::RemoteOptions;
use crate::error::{Error, Result};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreScheme, RetryConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A file in a store.
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// The URL for errors, without credentials.
    pub(super) name: PathBuf,
}

/// Opens the store of a URL. Sends no requests.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn open(text: &str, options: &RemoteOptions) -> Result<Place> {
    // The text itself may contain credentials.
    let url = Url::parse(text).map_err(|error| Error::invalid(format!("not a URL: {error}")))?;
    let name = PathBuf::from(shown(&url));
    let (store, path) = store(&url, options).map_err(|error| error.in_file(&name))?;
    Ok(Place { store, path, name })
}

/// The URL without query, fragment, password and, where it is no container, user.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Not possible for URLs that have neither.
    let _ = url.set_password(None);
    if !is_azure(url.scheme()) {
        let _ = url.set_username("");
    }
    url.into()
}

fn is_azure(scheme: &str) -> bool {
    matches!(scheme, "az" | "adl" | "azure" | "abfs" | "abfss")
}

fn store(url: &Url, options: &RemoteOptions) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let (scheme, is_http) = (url.scheme(), matches!(url.scheme(), "http" | "https"));
    if url.password().is_some() || !url.username().is_empty() && !is_azure(scheme) {
        let what = "a URL with a user or a password: give credentials by the environment";
        return Err(Error::invalid(what));
    }
    if url.fragment().is_some() {
        return Err(Error::invalid("a URL with a fragment: a # in a name is written %23"));
    }
    if url.query().is_some() && !is_http {
        return Err(Error::invalid("a URL with a query: a ? in a name is written %3F"));
    }
    provide_cryptography();
    if is_http {
        // The path belongs to the URL of the store, so that it is requested as it is.
        return Ok((http_store(url, options)?, Path::default()));
    }
    let failed = |error: &dyn std::error::Error| Error::invalid(error.to_string());
    let (_, path) = match scheme {
        "s3" | "s3a" | "gs" | "file" => ObjectStoreScheme::parse(url),
        scheme if is_azure(scheme) => ObjectStoreScheme::parse(url),
        scheme => {
            let what = "not http, https, s3, gs, az, abfs or file";
            return Err(Error::invalid(format!("a URL of scheme {scheme}: {what}")));
        }
    }
    .map_err(|error| failed(&error))?;
    if path.parts_count() == 0 {
        return Err(Error::invalid("a URL without a path"));
    }
    Ok((cloud_store(url, options)?, path))
}

/// The cryptography of TLS, unless the process has chosen one.
fn provide_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails if another thread is faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Repetitions of requests that fail before there is a response: of connections, and for statuses from
/// 500 on, 429 and 408.
fn retries(options: &RemoteOptions) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 4, retry_timeout: options.timeout }
}

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// The time limits of connections. The time of a whole request is limited by its length instead.
fn time_limits(options: &RemoteOptions) -> [(ClientConfigKey, String); 3] {
    let stalled = (options.timeout / 3).max(Duration::from_millis(1));
    let milliseconds = |time: Duration| format!("{} ms", time.as_millis());
    [
        (ClientConfigKey::ConnectTimeout, milliseconds(stalled.min(CONNECT))),
        (ClientConfigKey::ReadTimeout, milliseconds(stalled)),
        (ClientConfigKey::Timeout, "365 days".to_owned()),
    ]
}

/// A store without credentials at the whole URL.
fn http_store(url: &Url, options: &RemoteOptions) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = HttpBuilder::new().with_url(url.as_str()).with_retry(retries(options));
    builder = builder.with_config(ClientConfigKey::AllowHttp, "true");
    for (key, value) in time_limits(options) {
        builder = builder.with_config(key, value);
    }
    for (key, value) in options.settings() {
        let key = key.to_ascii_lowercase().parse().map_err(|_| unknown(key))?;
        builder = builder.with_config(key, value);
    }
    Ok(Arc::new(builder.build().map_err(|error| Error::invalid(innermost(&error)))?))
}

fn unknown(key: &str) -> Error {
    Error::invalid(format!("the store of this URL has no setting {key}"))
}

/// A store with what its builder takes from the environment, from our time limits unless the
/// environment states others, and from the settings.
macro_rules! configured {
    ($builder:ty, $key:ty, $prefix:literal, $url:expr, $options:expr) => {{
        let mut builder =
            <$builder>::from_env().with_url($url.as_str()).with_retry(retries($options));
        for (key, value) in time_limits($options) {
            let variable = format!("{}{}", $prefix, key.as_ref().to_ascii_uppercase());
            if std::env::var_os(variable).is_none() {
                builder = builder.with_config(<$key>::Client(key), value);
            }
        }
        for (key, value) in $options.settings() {
            let known: $key = key.to_ascii_lowercase().parse().map_err(|_| unknown(key))?;
            builder = builder.with_config(known, value);
        }
        Arc::new(builder.build().map_err(|error| Error::invalid(innermost(&error)))?)
    }};
}

fn cloud_store(url: &Url, options: &RemoteOptions) -> Result<Arc<dyn ObjectStore>> {
    use object_store::aws::AmazonS3ConfigKey;
    use object_store::azure::AzureConfigKey;
    use object_store::gcp::GoogleConfigKey;
    Ok(match url.scheme() {
        "file" if options.settings().is_empty() => Arc::new(LocalFileSystem::new()),
        "file" => return Err(unknown(&options.settings()[0].0)),
        "s3" | "s3a" => configured!(AmazonS3Builder, AmazonS3ConfigKey, "AWS_", url, options),
        "gs" => configured!(GoogleCloudStorageBuilder, GoogleConfigKey, "GOOGLE_", url, options),
        _ => configured!(MicrosoftAzureBuilder, AzureConfigKey, "AZURE_", url, options),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match open(url, &RemoteOptions::default()) {
            Ok(_) => panic!("{url} was opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn urls_are_shown_without_credentials() {
        let name = |url| open(url, &RemoteOptions::default()).unwrap().name;
        let signed = "https://bucket.s3.amazonaws.com/a%20b/m.occ?X-Amz-Signature=secret";
        assert_eq!(name(signed).to_str(), Some("https://bucket.s3.amazonaws.com/a%20b/m.occ"));
        assert_eq!(name("file:///a/b.occ").to_str(), Some("file:///a/b.occ"));
        for url in ["https://user:secret@host/m.occ", "s3://secret@bucket/m.occ"] {
            let message = refused(url);
            assert!(message.contains("user or a password") && !message.contains("secret"));
        }
    }

    #[test]
    fn urls_that_would_be_read_in_part_are_refused() {
        assert!(refused("s3://bucket/m.occ?versionId=1").contains("query"));
        assert!(refused("s3://bucket/m#1.occ").contains("fragment"));
        assert!(refused("s3://bucket").contains("without a path"));
        assert!(refused("ftp://host/m.occ").contains("scheme ftp"));
        assert!(refused("m.occ").contains("not a URL"));
        let options = RemoteOptions::default().setting("aws_regoin", "secret");
        let error = open("s3://bucket/m.occ", &options).err().unwrap().to_string();
        assert!(error.contains("aws_regoin") && !error.contains("secret"), "{error}");
    }
}
