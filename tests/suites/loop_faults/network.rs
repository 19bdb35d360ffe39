//! What stands between the action and the image: a real proxy, ports at which no connection is made.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nibs_tests::http::free_port;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use tempfile::TempDir;

/// A password that must never be said.
pub const SECRET: &str = "hunter2-s3cret";

/// How many ports are tried.
pub const TRIES: u32 = 5;

/// tinyproxy, which wants a user name and a password.
pub struct Proxy {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Proxy {
    /// # Panics
    /// When it does not come up.
    pub fn new(credentials: bool) -> Self {
        // A port may be taken by another between finding it free and listening on it.
        (0..TRIES).find_map(|_| Self::start(credentials)).expect("tinyproxy does not listen")
    }

    fn start(credentials: bool) -> Option<Self> {
        let port = free_port().unwrap();
        let folder = tempfile::Builder::new().prefix("nibs-proxy-").tempdir().unwrap();
        let basic = if credentials { format!("BasicAuth user {SECRET}\n") } else { String::new() };
        let log = folder.path().join("log");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Info\nLogFile \"{}\"\n{basic}",
            log.display()
        );
        let config = folder.path().join("tinyproxy.conf");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("tinyproxy is installed");
        let mut proxy = Self { child, port, folder };
        let started = Instant::now();
        while !proxy.accepts() {
            if proxy.child.try_wait().unwrap().is_some() || started.elapsed() > Duration::from_secs(20) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(proxy)
    }

    /// Whether it says so: who answers at its port may be another.
    fn accepts(&self) -> bool {
        std::fs::read_to_string(self.folder.path().join("log"))
            .is_ok_and(|log| log.contains("Accepting connections"))
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many requests went through it to this port.
    pub fn requests(&self, port: u16) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let through = |line: &&str| line.contains("Request (") && line.contains(&format!(":{port}"));
        log.lines().filter(through).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address where nothing listens: servers and clients are at 127.0.0.1. Of a name's addresses the resolver gives it before
/// those further from 127.0.0.1.
pub const LONELY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// An address and port of which no one else can make use, and where no connection is made.
pub struct Taken {
    address: SocketAddrV4,
    _socket: OwnedFd,
    _queued: Vec<TcpStream>,
}

impl Taken {
    /// A port at which connections are refused.
    ///
    /// # Panics
    /// When there is none to be had.
    pub fn refusing() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddrV4::new(LONELY, 0)).unwrap();
        let address = getsockname(&socket).unwrap().try_into().unwrap();
        Self { address, _socket: socket, _queued: Vec::new() }
    }

    /// This port, at which nobody answers: its queue is full, so that the kernel drops what comes.
    ///
    /// # Errors
    /// When the port is taken there.
    ///
    /// # Panics
    /// When the queue does not fill.
    pub fn dead(port: u16) -> rustix::io::Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        let address = SocketAddrV4::new(LONELY, port);
        bind(&socket, &address)?;
        listen(&socket, 0)?;
        let connect = || TcpStream::connect_timeout(&address.into(), Duration::from_millis(300)).ok();
        let queued: Vec<TcpStream> = std::iter::from_fn(connect).take(10).collect();
        assert!(queued.len() < 10, "the queue takes all");
        Ok(Self { address, _socket: socket, _queued: queued })
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }
}
