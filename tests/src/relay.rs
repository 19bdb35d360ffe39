//! A TCP port of the host whose other end can be changed, and taken away, while it is in use.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// A port of 127.0.0.1 that leads to another, for a machine that knows the one while the other changes: it was restored
/// from a snapshot, or what stands behind is to be gone for a while.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    to: Mutex<Option<SocketAddr>>,
    /// Both ends of each connection that is open.
    open: Mutex<HashMap<u64, [TcpStream; 2]>>,
    closing: AtomicBool,
    /// How many bytes came back from the other end, over all connections.
    answered_bytes: AtomicU64,
}

impl Relay {
    /// Listens on a port that the kernel chose, and leads to `to`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listening on 127.0.0.1")?;
        let address = listener.local_addr().context("asking for the port")?;
        let relay = Self { address, shared: Arc::default(), accepting: Mutex::default() };
        relay.accept(listener, to);
        Ok(relay)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes came back from where it leads, over all connections.
    pub fn answered_bytes(&self) -> u64 {
        self.shared.answered_bytes.load(Ordering::Relaxed)
    }

    /// Ends all connections; new ones are refused until [`lead_to`](Self::lead_to).
    pub fn cut(&self) {
        if let Some(accepting) = lock(&self.accepting).take() {
            self.shared.closing.store(true, Ordering::Release);
            // It waits for a connection: this one wakes it. Should none get through, it has ended by itself.
            let _ = TcpStream::connect(self.address);
            let _ = accepting.join();
        }
        for [one, other] in lock(&self.shared.open).values() {
            let _ = one.shutdown(Shutdown::Both);
            let _ = other.shutdown(Shutdown::Both);
        }
    }

    /// Ends all connections, and leads new ones to `to`.
    ///
    /// # Errors
    /// When something else has taken the port meanwhile.
    pub fn lead_to(&self, to: SocketAddr) -> Result<()> {
        self.cut();
        let listener =
            TcpListener::bind(self.address).with_context(|| format!("listening on {}", self.address))?;
        self.accept(listener, to);
        Ok(())
    }

    fn accept(&self, listener: TcpListener, to: SocketAddr) {
        let shared = Arc::clone(&self.shared);
        *lock(&shared.to) = Some(to);
        shared.closing.store(false, Ordering::Release);
        *lock(&self.accepting) = Some(thread::spawn(move || {
            for number in 0.. {
                let Ok((near, _)) = listener.accept() else { return };
                if shared.closing.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.connect(number, near));
            }
        }));
    }
}

impl Shared {
    /// Copies both ways until one end is done. What cannot be reached is closed, as the guest's network does it.
    fn connect(self: &Arc<Self>, number: u64, near: TcpStream) {
        let Some(to) = *lock(&self.to) else { return };
        let Ok(far) = TcpStream::connect(to) else { return };
        let Ok(streams) = (|| Ok::<_, io::Error>([near.try_clone()?, far.try_clone()?]))() else { return };
        lock(&self.open).insert(number, streams);
        let asking = {
            let (Ok(near), Ok(far)) = (near.try_clone(), far.try_clone()) else { return };
            thread::spawn(move || copy(&near, &far, &AtomicU64::new(0)))
        };
        copy(&far, &near, &self.answered_bytes);
        let _ = asking.join();
        lock(&self.open).remove(&number);
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, counter: &AtomicU64) {
    use std::io::{Read, Write};
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// A server that gives each connection one word, once it was asked.
    fn server(word: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut asked = [0; 3];
                    if stream.read_exact(&mut asked).is_ok() {
                        stream.write_all(word.as_bytes()).unwrap();
                    }
                });
            }
        });
        address
    }

    fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"ask")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn it_leads_to_one_then_to_none_then_to_the_other() {
        let relay = Relay::start(server("one")).unwrap();
        assert_eq!(ask(relay.address()).unwrap(), "one");
        let mut waiting = TcpStream::connect(relay.address()).unwrap();
        waiting.write_all(b"as").unwrap();
        assert_eq!(ask(relay.address()).unwrap(), "one");
        relay.cut();
        // At its end, or reset: it has ended.
        assert!(matches!(waiting.read(&mut [0]), Ok(0) | Err(_)));
        assert_eq!(ask(relay.address()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        relay.cut();
        relay.lead_to(server("other")).unwrap();
        assert_eq!(ask(relay.address()).unwrap(), "other");
        assert_eq!(relay.answered_bytes(), 11);
    }
}
