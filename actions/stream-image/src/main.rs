//! Starts the action.

fn main() -> std::process::ExitCode {
    common::action::main(&common::variables::STREAM_IMAGE, stream_image::run)
}
