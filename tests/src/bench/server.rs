//! nginx on the loopback, with a configuration and a folder of its own. It ends with its guard.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::http::free_port;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(5);
/// A port may be taken by another between finding it free and listening on it.
const TRIES: usize = 5;

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Child,
    port: u16,
    /// Its configuration and what it writes.
    _folder: TempDir,
}

impl Server {
    /// Serves the files of a folder.
    ///
    /// # Errors
    /// When nginx is missing, or does not listen; with what it said.
    pub fn start(objects: &Path) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(objects) {
                Err(_) if tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    fn try_start(objects: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("nibs-bench-nginx-").tempdir()?;
        let port = free_port()?;
        let own = folder.path().display();
        // One process in the foreground, so that killing it is all that ends it.
        let configuration = format!(
            "daemon off; master_process off; user root; pid {own}/pid; error_log {own}/error.log;\n\
             events {{}}\n\
             http {{\n\
             access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;\n\
             client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;\n\
             uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; root \"{}\"; }}\n\
             }}\n",
            objects.display()
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration)?;
        let log = folder.path().join("stderr.log");
        // It goes with this program, too, when that is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "nginx", "-p"])
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("starting nginx by setpriv (packages nginx-light, util-linux)")?;
        let mut server = Self { process, port, _folder: folder };
        let began = Instant::now();
        while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
            if server.process.try_wait()?.is_some() || began.elapsed() > START {
                bail!("nginx does not listen: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Where a file of the folder is.
    pub fn url(&self, file: &str) -> String {
        format!("http://127.0.0.1:{}/{file}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
