//! Errors of object stores as failures of requests, without URLs, bodies and credentials.

use crate::request_failure::RequestFailure;
use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error;
use std::io;

/// The start of the messages of [`object_store`] for statuses that are not successes. Their type is
/// private.
const STATUS: &str = "Server returned non-2xx status code: ";

/// The failure that an error of a store means.
pub(super) fn failure(error: &object_store::Error) -> RequestFailure {
    match error {
        object_store::Error::NotFound { .. } => RequestFailure::NotFound,
        object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => {
            RequestFailure::Changed
        }
        // Only ranges are requested that servers may not support.
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            RequestFailure::NoRanges
        }
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => RequestFailure::Denied(reason(error)),
        _ => other(error),
    }
}

/// An error and its causes.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Whether the server says that the file does not contain the range.
pub(super) fn is_out_of_range(failure: &RequestFailure) -> bool {
    matches!(failure, RequestFailure::Status(status) if status.starts_with("416 "))
}

fn other(error: &object_store::Error) -> RequestFailure {
    if let Some(status) = chain(error).find_map(|error| status(&error.to_string())) {
        return RequestFailure::Status(status);
    }
    let http = chain(error).find_map(|error| error.downcast_ref::<HttpError>());
    if http.is_some_and(|error| error.kind() == HttpErrorKind::Timeout) {
        return RequestFailure::TimedOut;
    }
    let text = innermost(error);
    // Without an error of the connection or of a local file there was a response.
    match http.is_some() || chain(error).any(<dyn Error>::is::<io::Error>) {
        true => RequestFailure::Other(text),
        false => RequestFailure::WrongResponse(text),
    }
}

/// `503 Service Unavailable` from a message with a status and a body.
fn status(message: &str) -> Option<String> {
    let (status, _) = message.strip_prefix(STATUS)?.split_once(':')?;
    Some(status.to_owned())
}

/// The code that a server gives for a refusal, such as `SignatureDoesNotMatch`, in the XML of S3, Google
/// Cloud Storage and Azure.
fn reason(error: &object_store::Error) -> String {
    let code = chain(error).find_map(|error| {
        let message = error.to_string();
        let (_, after) = message.strip_prefix(STATUS)?.split_once("<Code>")?;
        let (code, _) = after.split_once("</Code>")?;
        let is_word = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_word.then(|| code.to_owned())
    });
    code.unwrap_or_default()
}

/// The message of the innermost error. Outer ones may contain URLs, and with them signatures.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let message = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let without_query = |word: &str| match word.split_once('?') {
        Some((before, _)) if word.contains("://") => format!("{before}?…"),
        _ => word.to_owned(),
    };
    message.split(' ').map(without_query).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(String, #[source] io::Error);

    #[test]
    fn messages_contain_neither_bodies_nor_queries() {
        let message = format!("{STATUS}503 Service Unavailable: secret: body");
        assert_eq!(status(&message).as_deref(), Some("503 Service Unavailable"));
        let source = Outer("GET http://h/p?secret".into(), io::Error::other("refused"));
        assert_eq!(innermost(&source), "refused");
        let source = io::Error::other("at http://h/p?secret, why?");
        assert_eq!(innermost(&source), "at http://h/p?… why?");
    }

    #[test]
    fn reasons_are_words() {
        let denied = |body: &str| {
            let inner = io::Error::other(format!("{STATUS}403 Forbidden: {body}"));
            let source = Box::new(Outer("GET http://h/p?secret".into(), inner));
            failure(&object_store::Error::PermissionDenied { path: String::new(), source })
        };
        let named = |reason: &str| RequestFailure::Denied(reason.to_owned());
        assert_eq!(denied("<Error><Code>AccessDenied</Code>secret"), named("AccessDenied"));
        assert_eq!(denied("<Code>a secret</Code>"), named(""));
        assert_eq!(denied("secret"), named(""));
    }
}
