//! Object stores, and files on disk.

use crate::common::{Random, Sample, varied_samples, written};
use crate::server::{Answer, Server};
use object_store::ObjectStoreExt;
use occ::remote::{self, RemoteFile, RemoteOptions, RequestFailure, object_store};
use occ::{Dtype, Error, WriteOptions};
use std::sync::Arc;

fn file() -> (Vec<u8>, Sample) {
    let mut samples = varied_samples();
    samples.push(Sample::new("noise", Dtype::U8, &[300_000], Random(3).bytes(300_000)));
    (written(&samples, WriteOptions::default()), samples.remove(0))
}

fn s3(server: &Server) -> RemoteOptions {
    RemoteOptions::default()
        .setting("aws_endpoint", server.address())
        .setting("aws_allow_http", "true")
        .setting("aws_region", "eu-central-1")
        .setting("aws_access_key_id", "some-key")
        .setting("aws_secret_access_key", "secret")
}

#[test]
fn s3_requests_are_signed() {
    let (bytes, sample) = file();
    let server = Server::new(bytes);
    let opened = RemoteFile::open_with("s3://bucket/a/b%20c.occ", &s3(&server)).unwrap();
    let decoded = opened.reader().unwrap().tensor(&sample.name).unwrap().decode().unwrap();
    assert_eq!(decoded, sample.bytes);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!((&*request.method, &*request.target), ("GET", "/bucket/a/b%20c.occ"));
        let signature = request.header("authorization").unwrap();
        let start = "AWS4-HMAC-SHA256 Credential=some-key/";
        assert!(
            signature.starts_with(start) && signature.contains("/eu-central-1/s3/aws4_request")
        );
    }
}

#[test]
fn refusals_of_s3_are_typed_and_hide_credentials() {
    let server = Server::new(file().0);
    let cases = [
        (403, "SignatureDoesNotMatch", "access denied: SignatureDoesNotMatch"),
        (404, "NoSuchKey", "no such file on the server"),
        (500, "InternalError", "the server answered 500 Internal Server Error"),
    ];
    for (status, code, expected) in cases {
        let body = format!(
            "<Error><Code>{code}</Code><AWSAccessKeyId>some-key</AWSAccessKeyId>\
             <StringToSign>secret</StringToSign></Error>"
        );
        let body: &'static str = body.leak();
        server.answer(move |_, _| Answer::Status(status, body));
        let error = RemoteFile::open_with("s3://bucket/m.occ", &s3(&server)).unwrap_err();
        assert_eq!(error.to_string(), format!("s3://bucket/m.occ: {expected}"));
        assert!(matches!(error, Error::Request { .. }));
        let shown = format!("{error:?} {:?}", s3(&server));
        assert!(!shown.contains("secret") && !shown.contains("some-key"), "{shown}");
    }
}

#[test]
fn azure_needs_the_size_before_the_end_of_a_file() {
    let (bytes, sample) = file();
    let server = Server::new(bytes);
    let options = RemoteOptions::default()
        .setting("azure_storage_account_name", "account")
        .setting("azure_storage_account_key", "c2VjcmV0")
        .setting("azure_allow_http", "true")
        .setting("azure_endpoint", server.address());
    let opened = RemoteFile::open_with("az://container/m.occ", &options).unwrap();
    let reader = opened.reader().unwrap();
    let methods: Vec<String> = server.requests().into_iter().map(|one| one.method).collect();
    assert_eq!(methods, ["HEAD", "GET", "GET"]);
    assert_eq!(reader.tensor(&sample.name).unwrap().decode().unwrap(), sample.bytes);
    assert!(server.requests().iter().all(|one| one.target.ends_with("container/m.occ")));
}

#[test]
fn google_cloud_storage_is_read() {
    let (bytes, sample) = file();
    let server = Server::new(bytes);
    let key = format!(
        r#"{{"gcs_base_url":"{}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#,
        server.address()
    );
    let options = RemoteOptions::default()
        .setting("google_service_account_key", key)
        .setting("google_allow_http", "true");
    let opened = RemoteFile::open_with("gs://bucket/m.occ", &options).unwrap();
    let decoded = opened.reader().unwrap().tensor(&sample.name).unwrap().decode().unwrap();
    assert_eq!(decoded, sample.bytes);
    let requests = server.requests();
    assert!(requests.iter().all(|one| one.target.starts_with("/bucket/m")), "{requests:?}");
}

#[test]
fn files_are_read_by_url() {
    let (bytes, sample) = file();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b.occ");
    std::fs::write(&path, &bytes).unwrap();
    let url = format!("file://{}", path.to_str().unwrap().replace(' ', "%20"));
    let file = remote::open(&url).unwrap();
    assert_eq!(file.tensor(&sample.name).unwrap().decode().unwrap(), sample.bytes);
    let error = remote::open("file:///not/there.occ").unwrap_err();
    let Error::Request { failure, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*failure, RequestFailure::NotFound);
    // The file is replaced.
    std::fs::write(&path, [&bytes[..], b"!"].concat()).unwrap();
    let error = file.tensor(&sample.name).unwrap().decode().unwrap_err();
    assert!(matches!(error, Error::Request { failure: RequestFailure::Changed, .. }), "{error}");
}

#[test]
fn stores_of_the_caller_are_read() {
    let (bytes, sample) = file();
    let store = Arc::new(object_store::memory::InMemory::new());
    let path = object_store::path::Path::from("models/m.occ");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.put(&path, bytes.into())).unwrap();
    let opened = RemoteFile::from_store(store.clone(), &path).unwrap();
    assert_eq!(opened.name().to_str(), Some("models/m.occ"));
    let reader = opened.reader().unwrap();
    assert_eq!(reader.tensor(&sample.name).unwrap().decode().unwrap(), sample.bytes);
    let missing = RemoteFile::from_store(store, &"other".into()).unwrap_err();
    assert_eq!(missing.to_string(), "other: no such file on the server");
}
