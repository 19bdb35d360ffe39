//! A platform, and the folder that holds its binaries.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use oci_spec::image::Arch;

/// A processor architecture that images are made for. The operating system is always Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// `linux/amd64`
    Amd64,
    /// `linux/arm64`
    Arm64,
}

impl Platform {
    /// As Go and the image specification call it.
    pub fn arch(self) -> Arch {
        match self {
            Platform::Amd64 => Arch::Amd64,
            Platform::Arm64 => Arch::ARM64,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Platform::Amd64 => "linux/amd64",
            Platform::Arm64 => "linux/arm64",
        })
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "linux/amd64" => Ok(Platform::Amd64),
            "linux/arm64" => Ok(Platform::Arm64),
            _ => Err(format!("platform {s:?}: linux/amd64 and linux/arm64 are known")),
        }
    }
}

/// The binaries of one platform: `linux/amd64=target/x86_64-unknown-linux-gnu/release`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// What they run on.
    pub platform: Platform,
    /// The folder with a file for each action.
    pub folder: PathBuf,
}

impl FromStr for Binaries {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (platform, folder) = s
            .split_once('=')
            .filter(|(_, folder)| !folder.is_empty())
            .ok_or_else(|| format!("{s:?}: give PLATFORM=FOLDER, as linux/amd64=target/release"))?;
        Ok(Binaries { platform: platform.parse()?, folder: folder.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_and_its_folder() {
        let read: Binaries = "linux/arm64=a=b".parse().unwrap();
        assert_eq!(read, Binaries { platform: Platform::Arm64, folder: "a=b".into() });
        assert_eq!(read.platform.to_string(), "linux/arm64");
        assert!("linux/riscv64=x".parse::<Binaries>().unwrap_err().contains("linux/amd64"));
        assert!("linux/amd64".parse::<Binaries>().unwrap_err().contains("PLATFORM=FOLDER"));
        assert!("linux/amd64=".parse::<Binaries>().unwrap_err().contains("PLATFORM=FOLDER"));
    }
}
