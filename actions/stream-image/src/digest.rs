//! Digests: what was promised, and what arrived.

use std::fmt;

use sha2::{Digest as _, Sha256, Sha512};

/// How a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// Reads `sha256:` or `sha512:` and as many hexadecimal digits as it takes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, hex) = text.split_once(':')?;
        let digest = Self::from_hex(hex)?;
        digest.algorithm.name().eq_ignore_ascii_case(name).then_some(digest)
    }

    /// Reads bare hexadecimal digits; their number tells the algorithm.
    pub(crate) fn from_hex(hex: &str) -> Option<Self> {
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let algorithm =
            [Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|each| each.bytes() * 2 == hex.len())?;
        let bytes: Option<Vec<u8>> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect();
        bytes.map(|bytes| Self { algorithm, bytes })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm.name())?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A digest in the making.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => {
                Digest { algorithm: Algorithm::Sha256, bytes: hasher.finalize().to_vec() }
            }
            Self::Sha512(hasher) => {
                Digest { algorithm: Algorithm::Sha512, bytes: hasher.finalize().to_vec() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_its_name_and_its_digits() {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"a");
        hasher.update(b"bc");
        let digest = hasher.finish();
        assert_eq!(digest.to_string(), format!("sha256:{ABC}"));
        assert_eq!(Digest::parse(&format!("SHA256:{}", ABC.to_uppercase())), Some(digest));
        let empty = Hasher::new(Algorithm::Sha512).finish();
        assert_eq!(Digest::parse(&empty.to_string()), Some(empty));
        for wrong in [
            ABC,
            &format!("sha512:{ABC}"),
            &format!("sha256:{}", &ABC[1..]),
            "sha256:",
            "md5:00",
            "sha256:zz",
            "ü",
        ] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Digest::from_hex(&"ü".repeat(32)), None);
    }
}
