//! The first stage: the object's bytes, as they arrive, to those who hash and those who decode.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, SyncSender};
use std::time::Duration;

use common::cause::Cause;
use common::failure::Failure;
use reqwest::{Client, Response, Url};

use super::fault::{Fault, chain};
use super::request::Source;
use super::runtime;
use crate::figures::grouped;
use crate::options::Credentials;
use crate::stages::{Counters, Ended, Feed, Stage};

/// What the server said before the first byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    /// The announced length.
    pub(crate) length_bytes: Option<u64>,
}

/// Fetches the object. A connection that breaks is a fault that says where; going on there belongs here, too.
pub(crate) struct Fetch {
    pub(crate) client: Client,
    pub(crate) credentials: Option<Arc<Credentials>>,
    pub(crate) url: Url,
    pub(crate) stall_timeout: Duration,
    pub(crate) counters: Arc<Counters>,
    pub(crate) opened: Sender<Opened>,
    /// Each gets every byte.
    pub(crate) to: Vec<SyncSender<Feed>>,
}

impl Stage for Fetch {
    fn run(&mut self) -> Result<(), Ended> {
        let runtime = runtime()?;
        runtime.block_on(self.fetch())
    }
}

impl Fetch {
    async fn fetch(&mut self) -> Result<(), Ended> {
        let source = Source {
            client: &self.client,
            credentials: self.credentials.as_deref(),
            image: &self.url,
            stall_timeout: self.stall_timeout,
        };
        let mut response = source.get(&self.url).await?;
        let length_bytes = response.content_length();
        self.opened.send(Opened { length_bytes }).map_err(|_| Ended::Quietly)?;
        self.body(&mut response, length_bytes).await
    }

    async fn body(&mut self, response: &mut Response, length_bytes: Option<u64>) -> Result<(), Ended> {
        let mut received_bytes = 0;
        let place = |received_bytes| match length_bytes {
            Some(length_bytes) => format!("byte {} of {}", grouped(received_bytes), grouped(length_bytes)),
            None => format!("byte {} (the server announced no length)", grouped(received_bytes)),
        };
        loop {
            match tokio::time::timeout(self.stall_timeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    received_bytes += chunk.len() as u64;
                    self.counters.fetched_bytes.store(received_bytes, Ordering::Relaxed);
                    // Blocks where the others are slower: TCP then holds the server back.
                    for to in &self.to {
                        to.send(Feed::Data(chunk.clone())).map_err(|_| Ended::Quietly)?;
                    }
                }
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    return Err(Fault::transient(
                        Cause::ImageTruncated,
                        format_args!(
                            "the image ended at {}: the connection broke ({})",
                            place(received_bytes),
                            chain(&error.without_url())
                        ),
                    )
                    .into());
                }
                Err(_) => {
                    return Err(Fault::transient(
                        Cause::ServerStalled,
                        format_args!(
                            "the server sent nothing for {} s at {}",
                            self.stall_timeout.as_secs_f64(),
                            place(received_bytes)
                        ),
                    )
                    .into());
                }
            }
        }
        if received_bytes == 0 {
            return Err(Failure::new(Cause::ImageEmpty, "the server sent an image of 0 bytes").into());
        }
        for to in &self.to {
            to.send(Feed::End).map_err(|_| Ended::Quietly)?;
        }
        Ok(())
    }
}
