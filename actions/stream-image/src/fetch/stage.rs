//! The first stage: the object's bytes, as they arrive, to those who hash and those who decode. Where a connection breaks
//! it goes on with the next byte, as long as the server sends the rest of the same object.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::cause::Cause;
use common::failure::Failure;
use reqwest::header::TRANSFER_ENCODING;
use reqwest::{Client, Response, Url};
use tracing::{info, warn};

use super::fault::{Fault, chain};
use super::part::Object;
use super::request::Source;
use super::retry::Backoff;
use super::runtime;
use crate::figures::grouped;
use crate::options::Credentials;
use crate::stages::{Counters, Ended, Feed, Stage, busy_since};

/// What the server said before the first byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    /// The announced length.
    pub(crate) length_bytes: Option<u64>,
    /// Whether an end is told from a connection that broke.
    pub(crate) end_is_told: bool,
}

/// Fetches the object.
pub(crate) struct Fetch {
    pub(crate) client: Client,
    pub(crate) credentials: Option<Arc<Credentials>>,
    pub(crate) url: Url,
    pub(crate) stall_timeout: Duration,
    pub(crate) counters: Arc<Counters>,
    pub(crate) backoff: Arc<Mutex<Backoff>>,
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
    fn source(&self) -> Source<'_> {
        Source {
            client: &self.client,
            credentials: self.credentials.as_deref(),
            image: &self.url,
            stall_timeout: self.stall_timeout,
        }
    }

    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&mut self) -> Result<(), Ended> {
        let mut response = self.source().get(&self.url).await?;
        let length_bytes = response.content_length();
        let end_is_told = length_bytes.is_some() || response.headers().contains_key(TRANSFER_ENCODING);
        self.opened.send(Opened { length_bytes, end_is_told }).map_err(|_| Ended::Quietly)?;
        let mut object = Object::of(length_bytes, response.headers());
        let mut received_bytes = 0;
        while let Err(ended) = self.body(&mut response, &object, &mut received_bytes).await {
            response = match ended {
                Ended::Fault(fault) => self.go_on(*fault, &mut object, received_bytes).await?,
                Ended::Quietly => return Err(Ended::Quietly),
            };
        }
        if received_bytes == 0 {
            return Err(Failure::new(Cause::ImageEmpty, "the server sent an image of 0 bytes").into());
        }
        for to in &self.to {
            to.send(Feed::End).map_err(|_| Ended::Quietly)?;
        }
        Ok(())
    }

    /// The answer with the rest of the object, after a fault.
    async fn go_on(&self, fault: Fault, object: &mut Object, received_bytes: u64) -> Result<Response, Fault> {
        // What has no name that it could be known again by must be fetched from its beginning.
        let Some(validator) = object.validator.clone().filter(|_| received_bytes > 0 && fault.transient)
        else {
            return Err(fault);
        };
        let mut fault = fault;
        loop {
            let (pause, why) = self.backoff().pause(fault)?;
            warn!("{}; going on from there in {:.1} s", why.failure, pause.as_secs_f64());
            tokio::time::sleep(pause).await;
            match self.source().get_from(&self.url, received_bytes, &validator.value).await {
                Ok(response) => {
                    object.continued(received_bytes, response.status(), response.headers())?;
                    info!("going on at byte {}", grouped(received_bytes));
                    return Ok(response);
                }
                Err(next) => fault = next,
            }
        }
    }

    async fn body(
        &self,
        response: &mut Response,
        object: &Object,
        received_bytes: &mut u64,
    ) -> Result<(), Ended> {
        let place = |received_bytes| match object.length_bytes {
            Some(length_bytes) => format!("byte {} of {}", grouped(received_bytes), grouped(length_bytes)),
            None => format!("byte {} (the server announced no length)", grouped(received_bytes)),
        };
        loop {
            let started = Instant::now();
            let chunk = tokio::time::timeout(self.stall_timeout, response.chunk()).await;
            busy_since(started, &self.counters.waiting_nanos);
            match chunk {
                Ok(Ok(Some(chunk))) => {
                    *received_bytes += chunk.len() as u64;
                    if object.length_bytes.is_some_and(|length_bytes| *received_bytes > length_bytes) {
                        return Err(
                            Fault::broken_off(&place(*received_bytes), "the server sent too much").into()
                        );
                    }
                    self.counters.fetched_bytes.store(*received_bytes, Ordering::Relaxed);
                    self.backoff().progress(*received_bytes);
                    // Blocks where the others are slower: TCP then holds the server back.
                    for to in &self.to {
                        to.send(Feed::Data(chunk.clone())).map_err(|_| Ended::Quietly)?;
                    }
                }
                Ok(Ok(None)) if object.length_bytes.is_none_or(|length| length == *received_bytes) => {
                    return Ok(());
                }
                Ok(Ok(None)) => {
                    return Err(Fault::broken_off(&place(*received_bytes), "the server ended it").into());
                }
                Ok(Err(error)) => {
                    let why = format!("the connection broke ({})", chain(&error.without_url()));
                    return Err(Fault::broken_off(&place(*received_bytes), &why).into());
                }
                Err(_) => {
                    return Err(Fault::transient(
                        Cause::ServerStalled,
                        format_args!(
                            "the server sent nothing for {} s at {}",
                            self.stall_timeout.as_secs_f64(),
                            place(*received_bytes)
                        ),
                    )
                    .into());
                }
            }
        }
    }
}
