//! A real HTTP server on the loopback, whose behaviour for a path is data: what a server, a proxy or a network can do to
//! an image on its way. It goes away with its guard.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

mod reply;

pub use reply::{Break, Framing, Ranges, Reply, Until};

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 with the object and its length.
    Full,
    /// 200 with the object in chunks.
    Chunked,
    /// 200 with the object in chunks, of which the last one never comes: the connection closes.
    ChunkedWithoutEnd,
    /// 200 without a length: the object ends with the connection.
    Unframed,
    /// 200, announces the whole object, and closes the connection after so many bytes.
    Closed(usize),
    /// 200, announces the whole object, and resets the connection after about so many bytes.
    Reset(usize),
    /// 200, announces the whole object, and says nothing more after so many bytes.
    Stalled(usize),
    /// 200 with another length than the object has, and the whole object.
    WithLength(u64),
    /// 200, so many bytes a second.
    Slow(usize),
    /// Closes the connection without an answer.
    Nothing,
    /// A status with these header lines and a short page.
    Status(u16, Vec<(&'static str, String)>),
    /// The object all the same, with another status.
    FullWithStatus(u16),
    /// As a server that can send parts does.
    Reply(Box<Reply>),
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, or what else was asked for.
    pub method: String,
    /// The path, without what stands before it in a request to a proxy.
    pub path: String,
    /// The target as it was sent: a whole URL when the server was asked as a proxy.
    pub target: String,
    /// The header lines by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// What of the object was sent, by an [`Answer::Reply`].
    pub sent: Range<usize>,
}

impl Request {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

struct Object {
    body: Arc<Vec<u8>>,
    /// The n-th request gets the n-th; the last one counts for all that follow.
    answers: Vec<Answer>,
    requests: usize,
}

#[derive(Default)]
struct State {
    objects: Mutex<BTreeMap<String, Object>>,
    requests: Mutex<Vec<Request>>,
    stop: AtomicBool,
}

/// A server.
pub struct HttpServer {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    accept: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves plain HTTP.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub fn plain() -> Self {
        Self::start(IpAddr::from(Ipv4Addr::LOCALHOST), None)
    }

    /// Serves plain HTTP on this address.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub fn on(address: IpAddr) -> Self {
        Self::start(address, None)
    }

    /// Serves TLS.
    ///
    /// # Panics
    /// When there is no port to be had.
    pub fn tls(config: Arc<ServerConfig>) -> Self {
        Self::start(IpAddr::from(Ipv4Addr::LOCALHOST), Some(config))
    }

    fn start(address: IpAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port on the loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let accept = std::thread::spawn({
            let state = Arc::clone(&state);
            move || {
                for stream in listener.incoming().flatten() {
                    if state.stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (state, tls) = (Arc::clone(&state), tls.clone());
                    // A client that leaves is part of many tests.
                    std::thread::spawn(move || drop(converse(&state, stream, tls)));
                }
            }
        });
        Self { address, scheme, state, accept: Some(accept) }
    }

    /// Puts an object at a path, and gives its URL. The n-th request gets the n-th answer, the last one all that follow.
    ///
    /// # Panics
    /// Without an answer.
    pub fn serve(&self, path: &str, body: impl Into<Vec<u8>>, answers: &[Answer]) -> String {
        self.serve_shared(path, Arc::new(body.into()), answers)
    }

    /// As [`HttpServer::serve`], without another copy of the object.
    ///
    /// # Panics
    /// Without an answer.
    pub fn serve_shared(&self, path: &str, body: Arc<Vec<u8>>, answers: &[Answer]) -> String {
        assert!(!answers.is_empty(), "no answer for {path}");
        let object = Object { body, answers: answers.to_vec(), requests: 0 };
        self.state.objects.lock().unwrap().insert(path.to_owned(), object);
        self.url(path)
    }

    /// The URL of a path, by address.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// The requests for a path so far.
    pub fn requests_for(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path == path).count()
    }
}

/// A port of 127.0.0.1 that was free a moment ago, for a server that cannot be told to choose.
///
/// # Errors
/// When there is none to be had.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(accept) = self.accept.take() {
            let _ = accept.join();
        }
    }
}

/// A connection, plain or TLS; the socket below it stays reachable for what TLS would not do.
trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

fn converse(state: &State, socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let below = socket.try_clone()?;
    let connection: Box<dyn Connection> = match tls {
        Some(config) => {
            Box::new(StreamOwned::new(ServerConnection::new(config).map_err(io::Error::other)?, socket))
        }
        None => Box::new(socket),
    };
    let mut connection = BufReader::new(connection);
    loop {
        let request = match read_request(&mut connection) {
            Ok(Some(request)) => request,
            Ok(None) => break,
            Err(error) => {
                // As servers answer what is no HTTP, for instance TLS.
                send(
                    connection.get_mut().as_mut(),
                    &[b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"],
                )?;
                return Err(error);
            }
        };
        let number = {
            let mut requests = state.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        if request.method == "CONNECT" {
            return tunnel(&below, &request.target);
        }
        let (answer, body) = {
            let mut objects = state.objects.lock().unwrap();
            match objects.get_mut(&request.path) {
                Some(object) => {
                    let answer = object.answers[object.requests.min(object.answers.len() - 1)].clone();
                    object.requests += 1;
                    (answer, Arc::clone(&object.body))
                }
                None => (Answer::Status(404, Vec::new()), Arc::default()),
            }
        };
        let connection = connection.get_mut().as_mut();
        let again = match &answer {
            Answer::Reply(reply) => reply.send(state, connection, &below, number, &body)?,
            other => answer_to(state, connection, &below, other, &body)?,
        };
        if !again {
            break;
        }
    }
    below.shutdown(Shutdown::Both)
}

/// Joins a client of this server, asked as a proxy, and whom it wants to speak to.
fn tunnel(client: &TcpStream, target: &str) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    let mut to_client = client.try_clone()?;
    to_client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from_client, mut to_server, mut from_server) =
        (client.try_clone()?, server.try_clone()?, server);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_server);
            to_server.shutdown(Shutdown::Write)
        });
        let copied = io::copy(&mut from_server, &mut to_client);
        to_client.shutdown(Shutdown::Both)?;
        copied.map(drop)
    })
}

fn read_request(connection: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(ToOwned::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    // A proxy is asked with a whole URL.
    let without_host = target.split_once("://").map(|(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let path = without_host.unwrap_or(&target).split('?').next().unwrap_or_default().to_owned();
    Ok(Some(Request { method, path, target, headers, sent: 0..0 }))
}

/// Answers, and says whether the connection can be used again.
fn answer_to(
    state: &State,
    connection: &mut dyn Connection,
    below: &TcpStream,
    answer: &Answer,
    body: &[u8],
) -> io::Result<bool> {
    let head = |status: u16, lines: &str| format!("HTTP/1.1 {status} {}\r\n{lines}\r\n", reason(status));
    let length =
        |length: u64| format!("Content-Length: {length}\r\nContent-Type: application/octet-stream\r\n");
    let announced = head(200, &length(body.len() as u64));
    match answer {
        Answer::Full => send(connection, &[announced.as_bytes(), body])?,
        Answer::FullWithStatus(status) => {
            send(connection, &[head(*status, &length(body.len() as u64)).as_bytes(), body])?;
        }
        Answer::Chunked | Answer::ChunkedWithoutEnd => {
            send(connection, &[head(200, "Transfer-Encoding: chunked\r\n").as_bytes()])?;
            for chunk in body.chunks(100_000) {
                send(connection, &[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"])?;
            }
            if matches!(answer, Answer::ChunkedWithoutEnd) {
                return Ok(false);
            }
            send(connection, &[b"0\r\n\r\n"])?;
        }
        Answer::Unframed => {
            send(connection, &[head(200, "Connection: close\r\n").as_bytes(), body])?;
            return Ok(false);
        }
        Answer::Closed(after) => {
            send(connection, &[announced.as_bytes(), &body[..*after]])?;
            return Ok(false);
        }
        Answer::Reset(after) => {
            send(connection, &[announced.as_bytes(), &body[..*after]])?;
            // What is not read yet goes with a reset: the client is given time to read it.
            std::thread::sleep(Duration::from_millis(100));
            rustix::net::sockopt::set_socket_linger(below, Some(Duration::ZERO))?;
            return Ok(false);
        }
        Answer::Stalled(after) => {
            send(connection, &[announced.as_bytes(), &body[..*after]])?;
            while !state.stop.load(Ordering::SeqCst) && !has_left(below) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(false);
        }
        Answer::WithLength(bytes) => {
            send(connection, &[head(200, &length(*bytes)).as_bytes(), body])?;
            return Ok(false);
        }
        Answer::Slow(bytes_per_sec) => {
            send(connection, &[announced.as_bytes()])?;
            for piece in body.chunks((bytes_per_sec / 20).max(1)) {
                if state.stop.load(Ordering::SeqCst) {
                    return Ok(false);
                }
                send(connection, &[piece])?;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Answer::Nothing | Answer::Reply(_) => return Ok(false),
        Answer::Status(status, headers) => {
            let page =
                if matches!(status, 204 | 304) { String::new() } else { format!("<html>{status}</html>") };
            let mut lines = if *status == 204 { String::new() } else { length(page.len() as u64) };
            for (name, value) in headers {
                lines += &format!("{name}: {value}\r\n");
            }
            send(connection, &[head(*status, &lines).as_bytes(), page.as_bytes()])?;
        }
    }
    Ok(true)
}

fn send(connection: &mut dyn Connection, parts: &[&[u8]]) -> io::Result<()> {
    for part in parts {
        connection.write_all(part)?;
    }
    connection.flush()
}

fn has_left(socket: &TcpStream) -> bool {
    let _ = socket.set_nonblocking(true);
    let left = matches!(socket.peek(&mut [0]), Ok(0));
    let _ = socket.set_nonblocking(false);
    left
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        300..=399 => "Redirection",
        400..=499 => "Client Error",
        _ => "Server Error",
    }
}
