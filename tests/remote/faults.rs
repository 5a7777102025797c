//! Servers that are slow, wrong, or refuse.

use crate::common::{Random, Sample, small_chunks, written};
use crate::server::{Answer, Server};
use occ::remote::{self, RemoteFile, RemoteOptions, RequestFailure};
use occ::{Dtype, Error, SequentialReader, VerifyOptions};
use std::time::{Duration, Instant};

fn samples() -> Vec<Sample> {
    let sample = |i| Sample::new(&format!("w{i}"), Dtype::U8, &[500_000], Random(i).bytes(500_000));
    (0..3).map(sample).collect()
}

fn server() -> Server {
    Server::new(written(&samples(), small_chunks(100_000)))
}

fn failure(error: &Error) -> RequestFailure {
    match error {
        Error::Request { failure, .. } => failure.clone(),
        error => panic!("{error:?}"),
    }
}

/// Opens the file, then decodes a tensor while the server gives this answer to each request.
fn decoded(server: &Server, answer: Answer) -> occ::Result<Vec<u8>> {
    decoded_with(server, answer, &RemoteOptions::default())
}

fn decoded_with(server: &Server, answer: Answer, options: &RemoteOptions) -> occ::Result<Vec<u8>> {
    server.answer(|_, _| Answer::Right);
    let file = RemoteFile::open_with(&server.url(), options).unwrap().reader().unwrap();
    let tensor = file.tensor("w1").unwrap();
    tensor.decode_rows(0..1).unwrap();
    server.requests();
    server.answer(move |_, _| answer.clone());
    tensor.decode_rows(250_000..300_000)
}

#[test]
fn errors_state_url_tensor_chunk_and_offset() {
    let server = server();
    for answer in [Answer::Status(404, ""), Answer::Truncated, Answer::Shifted, Answer::Whole] {
        let error = decoded(&server, answer).unwrap_err();
        let at = error.location().unwrap().clone();
        assert_eq!(at.file.unwrap().to_str(), Some(&*server.url()));
        assert_eq!((at.tensor.as_deref(), at.chunk), (Some("w1"), Some(2)));
        assert!(at.offset.is_some_and(|offset| offset > 500_000));
        let message = error.to_string();
        assert!(message.starts_with(&server.url()), "{message}");
        assert!(message.contains(", tensor `w1`, chunk 2, byte "), "{message}");
    }
    // The header and the first chunk of a tensor are in one request.
    server.answer(|_, _| Answer::Right);
    let tensor = remote::open(&server.url()).unwrap().tensor("w0").unwrap();
    server.answer(|_, _| Answer::Status(404, ""));
    let error = tensor.decode().unwrap_err();
    let at = error.location().unwrap();
    assert_eq!((at.tensor.as_deref(), at.chunk, at.offset), (Some("w0"), Some(0), Some(64)));
}

#[test]
fn statuses_are_typed_errors() {
    let server = server();
    let denied = "<Error><Code>AccessDenied</Code><Message>secret</Message></Error>";
    let cases = [
        (Answer::Status(404, "secret"), RequestFailure::NotFound),
        (Answer::Status(401, "secret"), RequestFailure::Denied(String::new())),
        (Answer::Status(403, denied), RequestFailure::Denied("AccessDenied".to_owned())),
        (Answer::Status(400, "secret"), RequestFailure::Status("400 Bad Request".to_owned())),
        (
            Answer::Status(503, "secret"),
            RequestFailure::Status("503 Service Unavailable".to_owned()),
        ),
        (Answer::Status(416, ""), RequestFailure::Changed),
        (Answer::Whole, RequestFailure::NoRanges),
    ];
    for (answer, expected) in cases {
        let error = decoded(&server, answer.clone()).unwrap_err();
        assert_eq!(failure(&error), expected);
        assert!(!error.to_string().contains("secret"), "{error}");
        let is_repeated = matches!(answer, Answer::Status(503, _));
        assert_eq!(server.requests().len(), if is_repeated { 5 } else { 1 }, "{answer:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_not_opened() {
    let server = server();
    type IsExpected = fn(&RequestFailure) -> bool;
    let cases: [(Answer, IsExpected); 5] = [
        (Answer::Status(404, ""), |failure| *failure == RequestFailure::NotFound),
        (Answer::Status(403, ""), |failure| matches!(failure, RequestFailure::Denied(_))),
        (Answer::Whole, |failure| *failure == RequestFailure::NoRanges),
        (Answer::Shifted, |failure| matches!(failure, RequestFailure::WrongResponse(_))),
        (Answer::Truncated, |failure| matches!(failure, RequestFailure::Incomplete { .. })),
    ];
    for (answer, is_expected) in cases {
        server.answer(move |_, _| answer.clone());
        let url = format!("{}?token=secret", server.url());
        let error = remote::open(&url).unwrap_err();
        assert!(is_expected(&failure(&error)), "{error}");
        assert_eq!(error.location().unwrap().file.as_ref().unwrap().to_str(), Some(&*server.url()));
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        assert!(server.requests().iter().all(|one| one.target == "/models/m.occ?token=secret"));
    }
    let page = Server::new(b"<!DOCTYPE html><html>".to_vec());
    let error = remote::open(&page.url()).unwrap_err();
    assert!(matches!(error, Error::NotOcc { .. }), "{error}");
    let error = remote::open(&Server::new(Vec::new()).url()).unwrap_err();
    assert!(matches!(error, Error::NotOcc { .. }), "{error}");
    // Nothing listens at the address of a server that is gone.
    let url = { Server::new(Vec::new()).url() };
    let options = RemoteOptions::default().timeout(Duration::from_secs(2));
    let error = RemoteFile::open_with(&url, &options).unwrap_err();
    assert!(
        matches!(failure(&error), RequestFailure::Other(_) | RequestFailure::TimedOut),
        "{error}"
    );
}

#[test]
fn failures_that_pass_are_not_errors() {
    let samples = samples();
    let server = server();
    let passing = [
        Answer::Status(500, ""),
        Answer::Status(503, ""),
        Answer::Status(429, ""),
        Answer::Truncated,
        Answer::TruncatedChunked,
    ];
    for answer in passing {
        for tag in [Some("\"two\""), None] {
            server.replace(written(&samples, small_chunks(100_000)), tag);
            server.answer(|_, _| Answer::Right);
            let file = remote::open(&server.url()).unwrap();
            server.requests();
            let once = answer.clone();
            server.answer(move |number, _| if number == 0 { once.clone() } else { Answer::Right });
            let tensor = file.tensor("w1").unwrap();
            assert!(tensor.decode().unwrap() == samples[1].bytes, "{answer:?}");
            assert_eq!(server.requests().len(), 2, "{answer:?}, {tag:?}");
        }
    }
}

#[test]
fn responses_of_another_length_are_errors() {
    let server = server();
    for answer in [Answer::Truncated, Answer::TruncatedChunked] {
        let error = decoded(&server, answer).unwrap_err();
        assert!(matches!(failure(&error), RequestFailure::Incomplete { .. }), "{error}");
        let count = server.requests().len();
        assert!((2..=10).contains(&count), "{count} requests");
    }
    for answer in [Answer::Longer, Answer::Shifted] {
        let error = decoded(&server, answer.clone()).unwrap_err();
        assert!(matches!(failure(&error), RequestFailure::WrongResponse(_)), "{answer:?}: {error}");
    }
}

#[test]
fn wrong_bytes_are_found_by_checksums() {
    let server = server();
    let error = decoded(&server, Answer::Damaged).unwrap_err();
    assert!(matches!(error, Error::ChecksumMismatch { .. }), "{error}");
    let at = error.location().unwrap();
    assert_eq!((at.tensor.as_deref(), at.chunk), (Some("w1"), Some(2)));
    assert_eq!(at.file.as_ref().unwrap().to_str(), Some(&*server.url()));
}

#[test]
fn slow_servers_are_given_up() {
    let server = server();
    let options = RemoteOptions::default().timeout(Duration::from_millis(600));
    for answer in [Answer::Stalled, Answer::Dripping] {
        let start = Instant::now();
        let error = decoded_with(&server, answer, &options).unwrap_err();
        assert_eq!(failure(&error), RequestFailure::TimedOut);
        // 100,000 bytes may take a second more.
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(server.requests().len() <= 5);
    }
}

#[test]
fn a_file_that_changes_is_an_error() {
    let server = server();
    let other: Vec<Sample> = samples()
        .into_iter()
        .map(|sample| Sample { bytes: Random(9).bytes(500_000), ..sample })
        .collect();
    let (old, new) =
        (written(&samples(), small_chunks(100_000)), written(&other, small_chunks(100_000)));
    assert_eq!(old.len(), new.len());
    for (before, after) in [
        (Some("\"one\""), Some("\"two\"")),
        (Some("W/\"one\""), Some("W/\"two\"")),
        (Some("\"one\""), None),
    ] {
        server.replace(old.clone(), before);
        let file = remote::open(&server.url()).unwrap();
        server.replace(new.clone(), after);
        let error = file.tensor("w0").unwrap().decode().unwrap_err();
        assert_eq!(failure(&error), RequestFailure::Changed, "{before:?}, {after:?}");
    }
    // A file without a tag whose length differs, and one whose length does not.
    server.replace(old.clone(), None);
    let file = remote::open(&server.url()).unwrap();
    server.replace([&new[..], b"!"].concat(), None);
    let error = file.tensor("w0").unwrap().decode().unwrap_err();
    assert_eq!(failure(&error), RequestFailure::Changed);
    server.replace(new, None);
    let error = file.tensor("w0").unwrap().decode().unwrap_err();
    assert!(matches!(error, Error::ChecksumMismatch { .. }), "{error}");
}

#[test]
fn conditions_are_sent_where_the_server_can_compare() {
    let samples = samples();
    for (tag, sent) in [(Some("\"one\""), true), (Some("W/\"one\""), false), (None, false)] {
        let server = server();
        server.replace(written(&samples, small_chunks(100_000)), tag);
        let file = remote::open(&server.url()).unwrap();
        assert!(file.tensor("w0").unwrap().decode().unwrap() == samples[0].bytes);
        let requests = server.requests();
        assert!(requests[0].header("if-match").is_none());
        assert!(requests[1..].iter().all(|one| one.header("if-match").is_some() == sent));
    }
    // A server that finds each tag different gets no more of them.
    let server = server();
    let file = remote::open(&server.url()).unwrap();
    server.requests();
    server.answer(|_, request| match request.header("if-match") {
        Some(_) => Answer::Status(412, ""),
        None => Answer::Right,
    });
    for (sample, requests) in samples[..2].iter().zip([2, 1]) {
        assert!(file.tensor(&sample.name).unwrap().decode().unwrap() == sample.bytes);
        assert_eq!(server.requests().len(), requests);
    }
}

#[test]
fn servers_without_ranges_from_the_end_take_two_requests_more() {
    let server = server();
    server.answer(|_, _| Answer::NoSuffix);
    let file = remote::open(&server.url()).unwrap();
    assert!(file.tensor("w2").unwrap().decode().unwrap() == samples()[2].bytes);
    let methods: Vec<String> = server.requests().into_iter().map(|one| one.method).collect();
    assert_eq!(methods, ["GET", "HEAD", "GET", "GET", "GET"]);
}

#[test]
fn a_stream_that_breaks_is_an_error_and_not_a_problem_of_the_file() {
    let server = server();
    let file = RemoteFile::open(&server.url()).unwrap();
    server.answer(|_, _| Answer::Status(404, ""));
    let stream = SequentialReader::new(file).unwrap();
    let error = occ::verify(stream, VerifyOptions::default()).unwrap_err();
    assert_eq!(failure(&error), RequestFailure::NotFound);
    assert_eq!(error.location().unwrap().offset, Some(0));
}
