//! The HTTP server that has the image: busybox httpd, one process a connection, on a port that the kernel chose.

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// Serves the files of a folder on 127.0.0.1 until it is dropped.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Web {
    /// Starts serving `folder`; `log` gets a line for each request and its answer's status.
    ///
    /// # Errors
    /// When there is no port, or the log cannot be written.
    pub fn serve(folder: &Path, log: &Path) -> Result<Self> {
        // busybox cannot say which port it was given: so the port is ours, and each connection is handed to it.
        let listener = TcpListener::bind("127.0.0.1:0").context("listening on 127.0.0.1")?;
        let address = listener.local_addr().context("asking for the port")?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let ending = Arc::new(AtomicBool::new(false));
        let (seen, folder) = (Arc::clone(&ending), folder.to_owned());
        let accepting = thread::spawn(move || accept(&listener, &seen, &folder, &log));
        Ok(Self { address, ending, accepting: Some(accepting) })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn accept(listener: &TcpListener, ending: &AtomicBool, folder: &PathBuf, log: &File) {
    while let Ok((stream, _)) = listener.accept() {
        if ending.load(Ordering::Acquire) {
            return;
        }
        let answered = stream.try_clone().and_then(|output| {
            Command::new("busybox")
                .args(["httpd", "-i", "-vv", "-h"])
                .arg(folder)
                .stdin(Stdio::from(OwnedFd::from(stream)))
                .stdout(Stdio::from(OwnedFd::from(output)))
                .stderr(log.try_clone()?)
                .spawn()
        });
        match answered {
            // It ends with the connection; somebody has to take its status then.
            Ok(mut child) => drop(thread::spawn(move || child.wait())),
            Err(error) => eprintln!("web: starting busybox httpd: {error}"),
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Wakes the one who waits for a connection.
        let woken = std::net::TcpStream::connect(self.address);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let _ = accepting.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::Web;

    #[test]
    fn a_file_comes_whole_and_what_is_not_there_is_404() {
        let folder = tempfile::tempdir().unwrap();
        let image: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::create_dir(folder.path().join("files")).unwrap();
        fs::write(folder.path().join("files/image"), &image).unwrap();
        let log = folder.path().join("log");
        let web = Web::serve(&folder.path().join("files"), &log).unwrap();
        let get = |path: &str| {
            let mut stream = TcpStream::connect(web.address()).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        };
        let answer = get("/image");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer[..200]));
        assert!(answer.ends_with(&image));
        assert!(get("/../log").starts_with(b"HTTP/1.1 4"));
        assert!(get("/none").starts_with(b"HTTP/1.1 404"));
        let address = web.address();
        drop(web);
        assert!(TcpStream::connect(address).is_err(), "still served after its end");
        assert!(fs::read_to_string(log).unwrap().contains("url:/image"));
    }
}
