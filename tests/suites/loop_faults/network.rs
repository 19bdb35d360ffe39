//! What stands between the action and the image: a real proxy, names with several addresses, an address that is dead.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use tempfile::TempDir;

/// A password that must never be said.
pub const SECRET: &str = "hunter2-s3cret";

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
        let port = free_port();
        let folder = tempfile::Builder::new().prefix("nibs-proxy-").tempdir().unwrap();
        let basic = if credentials { format!("BasicAuth user {SECRET}\n") } else { String::new() };
        let log = folder.path().join("log");
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\nLogFile \"{}\"\n{basic}",
            log.display()
        );
        let config = folder.path().join("tinyproxy.conf");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("tinyproxy is installed");
        let proxy = Self { child, port, folder };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "tinyproxy does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
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

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The address that no one answers at, see [`DeadAddress`].
pub const DEAD: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// An address and port at which connections are never made: its queue is full, so that the kernel drops what comes.
pub struct DeadAddress {
    _listener: OwnedFd,
    _queued: Vec<TcpStream>,
}

impl DeadAddress {
    /// # Panics
    /// When the port is taken there.
    pub fn new(port: u16) -> Self {
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let address = SocketAddrV4::new(DEAD, port);
        bind(&listener, &address).unwrap();
        listen(&listener, 0).unwrap();
        let connect = || TcpStream::connect_timeout(&address.into(), Duration::from_millis(300)).ok();
        let queued: Vec<TcpStream> = std::iter::from_fn(connect).take(10).collect();
        assert!(queued.len() < 10, "the queue takes all");
        Self { _listener: listener, _queued: queued }
    }
}
