//! Streaming images to real loop devices from a real server: what lands, what is refused, and what a fault leaves.
//!
//! A disk is full of an older system before each run. A refusal leaves it as it was, to the byte; a failure after the
//! first write leaves both its ends zero.

#[path = "loop_stream_image/bench.rs"]
mod bench;
#[path = "loop_stream_image/digests.rs"]
mod digests;
#[path = "loop_stream_image/faults.rs"]
mod faults;
#[path = "loop_stream_image/landing.rs"]
mod landing;
#[path = "loop_stream_image/refusals.rs"]
mod refusals;
#[path = "loop_stream_image/secrets.rs"]
mod secrets;
#[path = "loop_stream_image/servers.rs"]
mod servers;
#[path = "loop_stream_image/stopping.rs"]
mod stopping;
#[path = "loop_stream_image/tls.rs"]
mod tls;
