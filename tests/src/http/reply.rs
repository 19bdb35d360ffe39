//! An answer of a server that can send parts of an object, or does it wrong, and whose connection may break at any byte.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Connection, Request, State, has_left, reason, send};

/// A piece of a chunked body.
const CHUNK_BYTES: usize = 50_000;

/// An answer with an object, or with a part of it.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Another object than the path's own.
    pub body: Option<Arc<Vec<u8>>>,
    /// Further header lines: what the object is known by, for instance.
    pub headers: Vec<(&'static str, String)>,
    /// What is done where a part is asked for.
    pub ranges: Ranges,
    /// How the body's end is told.
    pub framing: Framing,
    /// Where it stops.
    pub until: Until,
}

/// What a server does where it is asked for all from a byte on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ranges {
    /// 206 with it, where If-Range fits (RFC 9110, 13.1.5), else 200 with the whole object; 416 behind the end.
    #[default]
    Right,
    /// 200 with the whole object.
    Ignored,
    /// 206 whatever If-Range says.
    Blind,
    /// As `Blind`, and without the ETag and Last-Modified.
    Nameless,
    /// 206 that begins so many bytes elsewhere, and says so.
    Elsewhere(i64),
    /// 206 with a total length that differs by so much.
    Total(i64),
    /// 206 without Content-Range.
    Unsaid,
    /// 206 with all parts of a multipart body, as nobody asked.
    Multipart,
    /// 416.
    Refused,
    /// A status, and a short page.
    Status(u16),
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    #[default]
    Length,
    /// By its last chunk.
    Chunked,
    /// By the end of the connection.
    Unframed,
}

/// How a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It is closed.
    Closed,
    /// It is reset.
    Reset,
    /// Nothing comes any more.
    Stalled,
}

/// Where an answer stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// At its end.
    #[default]
    End,
    /// Within its header.
    Header(Break),
    /// At this byte of the object; at once where the answer begins behind it.
    Byte(Break, usize),
    /// Before the last chunk, which tells the end.
    LastChunk,
}

/// What a range request gets.
enum Part {
    Whole,
    From { first: usize, said: Option<String> },
    Page(u16, Option<String>),
}

impl Reply {
    fn part(&self, request: &Request, length: usize) -> Part {
        let asked = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let Some(asked) = asked.and_then(|first| first.parse::<usize>().ok()) else { return Part::Whole };
        let said = |first: usize, total: usize| Some(format!("bytes {first}-{}/{total}", length - 1));
        let fits = request.header("if-range").is_none_or(|given| {
            let known = |name: &str| self.headers.iter().any(|(own, value)| *own == name && value == given);
            !given.starts_with("W/") && (known("ETag") || known("Last-Modified"))
        });
        let moved = |by: i64| usize::try_from(asked as i64 + by).unwrap_or_default();
        match self.ranges {
            Ranges::Ignored => Part::Whole,
            Ranges::Right if !fits => Part::Whole,
            Ranges::Refused => Part::Page(416, Some(format!("bytes */{length}"))),
            Ranges::Status(status) => Part::Page(status, None),
            _ if asked >= length => Part::Page(416, Some(format!("bytes */{length}"))),
            Ranges::Right | Ranges::Blind | Ranges::Nameless => {
                Part::From { first: asked, said: said(asked, length) }
            }
            Ranges::Elsewhere(by) => Part::From { first: moved(by), said: said(moved(by), length) },
            Ranges::Total(by) => {
                Part::From { first: asked, said: said(asked, (length as i64 + by) as usize) }
            }
            Ranges::Unsaid | Ranges::Multipart => Part::From { first: asked, said: None },
        }
    }

    /// Answers the request of this number, and says whether the connection can be used again.
    pub(super) fn send(
        &self,
        state: &State,
        connection: &mut dyn Connection,
        below: &TcpStream,
        number: usize,
        object: &[u8],
    ) -> io::Result<bool> {
        let request = state.requests.lock().unwrap()[number].clone();
        let object = self.body.as_ref().map_or(object, |body| body.as_slice());
        let part = self.part(&request, object.len());
        let (status, first, said) = match part {
            Part::Whole => (200, 0, None),
            Part::From { first, said } => (206, first, said),
            Part::Page(status, said) => (status, 0, said),
        };
        let page = format!("<html>{status}</html>").into_bytes();
        let is_object = matches!(status, 200 | 206);
        let (first, body) = if is_object { (first, &object[first..]) } else { (0, &page[..]) };
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        let named = !(status == 206 && self.ranges == Ranges::Nameless);
        for (name, value) in self.headers.iter().filter(|(name, _)| named || !is_name(name)) {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(said) = said {
            head += &format!("Content-Range: {said}\r\n");
        }
        if status == 206 && self.ranges == Ranges::Multipart {
            head += "Content-Type: multipart/byteranges; boundary=THIS\r\n";
        }
        head += &match self.framing {
            Framing::Length => format!("Content-Length: {}\r\n", body.len()),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".into(),
            Framing::Unframed => "Connection: close\r\n".into(),
        };
        head += "\r\n";
        let (kind, at) = match self.until {
            Until::Header(kind) => {
                send(connection, &[&head.as_bytes()[..head.len() / 2]])?;
                break_off(state, below, kind)?;
                return Ok(false);
            }
            Until::Byte(kind, at) if is_object => (Some(kind), at.saturating_sub(first).min(body.len())),
            _ => (None, body.len()),
        };
        send(connection, &[head.as_bytes()])?;
        self.body(connection, &body[..at], kind.is_none())?;
        if is_object {
            state.requests.lock().unwrap()[number].sent = first..first + at;
        }
        if let Some(kind) = kind {
            break_off(state, below, kind)?;
        }
        Ok(kind.is_none() && self.framing != Framing::Unframed && self.until == Until::End)
    }

    fn body(&self, connection: &mut dyn Connection, body: &[u8], whole: bool) -> io::Result<()> {
        if self.framing != Framing::Chunked {
            return send(connection, &[body]);
        }
        for chunk in body.chunks(CHUNK_BYTES) {
            send(connection, &[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"])?;
        }
        let last: &[u8] = if whole && self.until != Until::LastChunk { b"0\r\n\r\n" } else { b"" };
        send(connection, &[last])
    }
}

fn is_name(header: &str) -> bool {
    matches!(header, "ETag" | "Last-Modified")
}

/// Ends a connection, or leaves it silent until the client has left.
fn break_off(state: &State, below: &TcpStream, kind: Break) -> io::Result<()> {
    match kind {
        Break::Closed => Ok(()),
        Break::Reset => {
            // What is not read yet goes with a reset: the client is given time to read it.
            std::thread::sleep(Duration::from_millis(100));
            Ok(rustix::net::sockopt::set_socket_linger(below, Some(Duration::ZERO))?)
        }
        Break::Stalled => {
            while !state.stop.load(Ordering::SeqCst) && !has_left(below) {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
    }
}
