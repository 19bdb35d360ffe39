//! Streaming images to real loop devices from a real server: what lands, and what is said. A disk is full of an older
//! system before each run. What goes wrong is in the table of `loop_faults`.

#[path = "loop_stream_image/bench.rs"]
mod bench;
#[path = "loop_stream_image/digests.rs"]
mod digests;
#[path = "loop_stream_image/landing.rs"]
mod landing;
#[path = "loop_stream_image/secrets.rs"]
mod secrets;
