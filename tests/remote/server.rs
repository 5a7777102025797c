//! An HTTP server on loopback that counts its requests and fails on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The range that was requested.
    Right,
    /// A status and a body.
    Status(u16, &'static str),
    /// The whole file, as servers without ranges answer.
    Whole,
    /// Bytes from the middle of the range on are missing.
    Truncated,
    /// As `Truncated`, and without stating the length before.
    TruncatedChunked,
    /// One byte more than was requested, without stating the length before.
    Longer,
    /// The bytes after those that were requested.
    Shifted,
    /// The first byte of the range is changed.
    Damaged,
    /// Nothing.
    Stalled,
    /// A byte from time to time.
    Dripping,
    /// As servers answer that know no ranges from the end.
    NoSuffix,
}

/// A request that the server has seen.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the file that were sent.
    pub sent: Range<u64>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(usize, &Request) -> Answer + Send;

struct State {
    file: Mutex<Arc<Vec<u8>>>,
    tag: Mutex<Option<String>>,
    /// The answer to each request, by its number from 0 on.
    script: Mutex<Box<Script>>,
    log: Mutex<Vec<Request>>,
    closed: AtomicBool,
}

/// The same file at all paths.
pub struct Server {
    state: Arc<State>,
    port: u16,
}

impl Server {
    pub fn new(file: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            file: Mutex::new(Arc::new(file)),
            tag: Mutex::new(Some("\"one\"".to_owned())),
            script: Mutex::new(Box::new(|_, _| Answer::Right)),
            log: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                // A client that goes away is no error.
                thread::spawn(move || serve(&stream, &shared).unwrap_or(()));
            }
        });
        Self { state, port }
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("{}/models/m.occ", self.address())
    }

    /// Replaces the file, and its entity tag.
    pub fn replace(&self, file: Vec<u8>, tag: Option<&str>) {
        *self.state.file.lock().unwrap() = Arc::new(file);
        *self.state.tag.lock().unwrap() = tag.map(str::to_owned);
    }

    pub fn answer(&self, script: impl Fn(usize, &Request) -> Answer + Send + 'static) {
        *self.state.script.lock().unwrap() = Box::new(script);
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.log.lock().unwrap())
    }

    /// The ranges that were sent since the last call, in the order of the file.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let requests = self.requests();
        assert!(requests.iter().all(|request| request.method == "GET"), "{requests:?}");
        let mut ranges: Vec<_> = requests.into_iter().map(|request| request.sent).collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(stream: &TcpStream, state: &State) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream), stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let mut first = lines[0].split(' ');
        let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
        let request = Request {
            method: first.next().unwrap().to_owned(),
            target: first.next().unwrap().to_owned(),
            headers: headers.map(|(key, value)| (key.to_lowercase(), value.to_owned())).collect(),
            sent: 0..0,
        };
        if !respond(request, state, &mut output)? {
            return Ok(());
        }
    }
}

/// Whether the connection stays open.
fn respond(mut request: Request, state: &State, output: &mut impl Write) -> std::io::Result<bool> {
    let (file, tag) = (Arc::clone(&state.file.lock().unwrap()), state.tag.lock().unwrap().clone());
    let size = file.len() as u64;
    let range = request.header("range").and_then(|range| requested(range, size));
    let has_changed =
        request.header("if-match").is_some_and(|wanted| Some(wanted) != tag.as_deref());
    let is_suffix = request.header("range").is_some_and(|range| range.starts_with("bytes=-"));
    let answer = {
        let number = state.log.lock().unwrap().len();
        let answer = state.script.lock().unwrap()(number, &request);
        if let (Answer::Right, Some(range)) = (&answer, &range) {
            request.sent = range.clone();
        }
        state.log.lock().unwrap().push(request.clone());
        answer
    };
    let tag = tag.map_or(String::new(), |tag| format!("ETag: {tag}\r\n"));
    let date = "Last-Modified: Mon, 30 Nov 2026 00:00:00 GMT\r\n";
    let mut head =
        |status: &str, more: &str| write!(output, "HTTP/1.1 {status}\r\n{tag}{date}{more}\r\n");
    if answer == Answer::Right && has_changed {
        head("412 Precondition Failed", "Content-Length: 0\r\n")?;
        return Ok(true);
    }
    if let Answer::Status(status, body) = answer {
        head(&format!("{status} Reason"), &format!("Content-Length: {}\r\n", body.len()))?;
        output.write_all(body.as_bytes())?;
        return Ok(true);
    }
    if answer == Answer::Stalled {
        while !state.closed.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
        return Ok(false);
    }
    if request.method == "HEAD" {
        head("200 OK", &format!("Content-Length: {size}\r\n"))?;
        return Ok(true);
    }
    if answer == Answer::Whole || request.header("range").is_none() {
        head("200 OK", &format!("Content-Length: {size}\r\n"))?;
        output.write_all(&file)?;
        return Ok(true);
    }
    let Some(mut range) = range.filter(|_| !(is_suffix && answer == Answer::NoSuffix)) else {
        head("416 Range Not Satisfiable", "Content-Length: 0\r\n")?;
        return Ok(true);
    };
    let stated = |range: &Range<u64>| {
        format!("Content-Range: bytes {}-{}/{size}\r\n", range.start, range.end - 1)
    };
    let length = range.end - range.start;
    let plain = format!("{}Content-Length: {length}\r\n", stated(&range));
    // Object stores need a length; the transfer encoding overrides it.
    let chunked = format!("{plain}Transfer-Encoding: chunked\r\n");
    let bytes = |range: &Range<u64>| &file[range.start as usize..range.end as usize];
    let half = range.start..range.start + length / 2;
    match answer {
        Answer::Truncated => {
            head("206 Partial Content", &plain)?;
            output.write_all(bytes(&half))?;
            return Ok(false);
        }
        Answer::TruncatedChunked => {
            head("206 Partial Content", &chunked)?;
            write!(output, "{:x}\r\n", length / 2)?;
            output.write_all(bytes(&half))?;
            output.write_all(b"\r\n0\r\n\r\n")?;
        }
        Answer::Longer => {
            head("206 Partial Content", &chunked)?;
            write!(output, "{:x}\r\n", length + 1)?;
            output.write_all(bytes(&range))?;
            output.write_all(b"!\r\n0\r\n\r\n")?;
        }
        Answer::Shifted => {
            range = range.start + 1..(range.end + 1).min(size);
            let length = range.end - range.start;
            let stated = format!("{}Content-Length: {length}\r\n", stated(&range));
            head("206 Partial Content", &stated)?;
            output.write_all(bytes(&range))?;
        }
        Answer::Damaged => {
            head("206 Partial Content", &plain)?;
            let mut bytes = bytes(&range).to_vec();
            bytes[0] ^= 1;
            output.write_all(&bytes)?;
        }
        Answer::Dripping => {
            head("206 Partial Content", &plain)?;
            for byte in bytes(&range) {
                output.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(50));
                if state.closed.load(Ordering::SeqCst) {
                    return Ok(false);
                }
            }
        }
        _ => {
            head("206 Partial Content", &plain)?;
            output.write_all(bytes(&range))?;
        }
    }
    Ok(true)
}

/// The bytes of a file of `size` bytes that a `Range` header asks for.
fn requested(range: &str, size: u64) -> Option<Range<u64>> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (start, end) {
        ("", last) => size.saturating_sub(last.parse().ok()?)..size,
        (start, last) => start.parse().ok()?..size.min(last.parse::<u64>().ok()? + 1),
    };
    (range.start < range.end).then_some(range)
}
