//! Streaming images to real loop devices.
