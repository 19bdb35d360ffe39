//! Paths inside an installed system. The image decides what its symbolic links say, so every path is resolved by the
//! kernel below the root of that system (`openat2`, `RESOLVE_IN_ROOT`): an absolute link, or `../..`, stays inside.
//!
//! Paths may be absolute or relative, both mean the same: `/etc/fstab` is the system's own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;

use crate::cause::Cause;
use crate::failure::{Because, Failure};

#[cfg(test)]
mod tests;

/// A folder that an image with more entries than this has is not read to its end.
const MOST_ENTRIES: usize = 65_536;

/// The attribute that SELinux keeps a file's label in.
const SELINUX: &str = "security.selinux";

/// The root of an installed system.
#[derive(Debug)]
pub struct RootDir {
    root: OwnedFd,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, which only [`RootDir::kind_of_link`] gives.
    Link,
    /// A fifo, socket or device, which is never opened.
    Special,
}

/// The mode and owner of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, as 0o600.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

impl Attributes {
    /// A file or folder of root.
    pub const fn of_root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0 }
    }
}

impl RootDir {
    /// Takes an open folder as the root.
    pub fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Takes a folder of this machine as the root.
    ///
    /// # Errors
    /// [`Cause::File`] when it is not there or no folder.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map(Self::new)
            .with_context(|| format!("opening {}", folder.display()))
            .because(Cause::File)
    }

    /// The root of a mount that only its file descriptor leads to.
    pub(crate) fn at(mount: impl AsFd) -> io::Result<Self> {
        // A mount's own descriptor is for paths only (O_PATH); this one takes syncfs and the ioctls of filesystems.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::new(rustix::fs::openat(mount, ".", flags, Mode::empty())?))
    }

    /// A folder inside as a root of its own: nothing above it can be reached through it.
    ///
    /// # Errors
    /// [`Cause::File`] when it is not there or no folder.
    pub fn subfolder(&self, path: impl AsRef<Path>) -> Result<Self, Failure> {
        self.folder(path.as_ref()).map(|folder| Self::new(folder.into())).doing("opening", path.as_ref())
    }

    /// What is there, after following symbolic links; nothing where the path leads nowhere.
    ///
    /// # Errors
    /// [`Cause::File`], as on a loop of links.
    pub fn kind(&self, path: impl AsRef<Path>) -> Result<Option<Kind>, Failure> {
        self.look(path.as_ref(), OFlags::empty()).doing("looking at", path.as_ref())
    }

    /// What is there, without following a symbolic link at the path's end.
    ///
    /// # Errors
    /// [`Cause::File`].
    pub fn kind_of_link(&self, path: impl AsRef<Path>) -> Result<Option<Kind>, Failure> {
        self.look(path.as_ref(), OFlags::NOFOLLOW).doing("looking at", path.as_ref())
    }

    /// Whether the path leads to a file, a folder or anything else.
    ///
    /// # Errors
    /// [`Cause::File`].
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool, Failure> {
        self.kind(path).map(|kind| kind.is_some())
    }

    /// The content of a regular file, nothing where there is none.
    ///
    /// # Errors
    /// [`Cause::File`] when it is longer than `limit_bytes`, is a fifo, socket, device or folder, or cannot be read.
    pub fn read(&self, path: impl AsRef<Path>, limit_bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
        let path = path.as_ref();
        match self.read_within(path, limit_bytes) {
            Err(error) if nowhere(&error) => Ok(None),
            result => result.map(Some).doing("reading", path),
        }
    }

    /// A regular file, open for reading. As long as it is open, its filesystem cannot be unmounted.
    ///
    /// # Errors
    /// [`Cause::File`] when it is not there, is a fifo, socket, device or folder, or cannot be opened.
    pub fn file(&self, path: impl AsRef<Path>) -> Result<File, Failure> {
        self.regular(path.as_ref()).doing("opening", path.as_ref())
    }

    fn regular(&self, path: &Path) -> io::Result<File> {
        // Without O_NONBLOCK the open of a fifo would wait for a writer that never comes.
        let file = File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(file)
    }

    fn read_within(&self, path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let file = self.regular(path)?;
        let mut content = Vec::new();
        file.take(limit_bytes.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > limit_bytes {
            return Err(io::Error::other(format!(
                "it is longer than {limit_bytes} bytes, which none of its kind is"
            )));
        }
        Ok(content)
    }

    /// The names in a folder, sorted; none where there is no such folder.
    ///
    /// # Errors
    /// [`Cause::File`] when it is no folder, cannot be read, or has an absurd number of entries.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>, Failure> {
        let path = path.as_ref();
        let names = || -> io::Result<Vec<OsString>> {
            let mut names = Vec::new();
            for entry in Dir::read_from(self.folder(path)?)? {
                let name = entry?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    names.push(OsString::from_vec(name));
                }
                if names.len() > MOST_ENTRIES {
                    return Err(io::Error::other(format!("it has more than {MOST_ENTRIES} entries")));
                }
            }
            names.sort();
            Ok(names)
        };
        match names() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            result => result.doing("listing", path),
        }
    }

    /// Makes a folder and those above it. Those that it makes get `attributes`, those that are there stay as they are.
    /// Durable on return.
    ///
    /// # Errors
    /// [`Cause::File`], as where a file or a link to nowhere is in the way.
    pub fn create_dir_all(&self, path: impl AsRef<Path>, attributes: Attributes) -> Result<(), Failure> {
        let path = path.as_ref();
        let make = || -> io::Result<()> {
            let mut above = self.folder(Path::new("."))?;
            let mut so_far = PathBuf::new();
            for name in plain_components(path)? {
                so_far.push(name);
                above = match self.folder(&so_far) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        make_dir(&above, name, attributes)?
                    }
                    result => result?,
                };
            }
            Ok(())
        };
        make().doing("making the folder", path)
    }

    /// Sets the mode and owner of a regular file or folder that is there.
    ///
    /// # Errors
    /// [`Cause::File`].
    pub fn set_attributes(&self, path: impl AsRef<Path>, attributes: Attributes) -> Result<(), Failure> {
        let path = path.as_ref();
        let set = || -> io::Result<()> {
            let file = File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
            let metadata = file.metadata()?;
            if !metadata.is_file() && !metadata.is_dir() {
                return Err(io::Error::other("it is neither a file nor a folder"));
            }
            apply(&file, attributes)?;
            file.sync_all()
        };
        set().doing("setting the mode of", path)
    }

    /// Removes a file or link, and says whether one was there. Durable on return.
    ///
    /// # Errors
    /// [`Cause::File`], as for a folder.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<bool, Failure> {
        let path = path.as_ref();
        let remove = || -> io::Result<()> {
            let (folder, name) = self.entry(path)?;
            rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
            folder.sync_all()
        };
        match remove() {
            Ok(()) => Ok(true),
            Err(error) if nowhere(&error) => Ok(false),
            Err(error) => Err(error).doing("removing", path),
        }
    }

    /// Gives a file, link or folder another name; a file of that name is replaced. Durable on return.
    ///
    /// # Errors
    /// [`Cause::File`].
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Failure> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let rename = || -> io::Result<()> {
            let (from_folder, from_name) = self.entry(from)?;
            let (to_folder, to_name) = self.entry(to)?;
            rustix::fs::renameat(&from_folder, from_name, &to_folder, to_name)?;
            to_folder.sync_all()?;
            from_folder.sync_all()
        };
        rename().doing("renaming", from)
    }

    /// Writes a file as a whole: whoever looks sees the old one or the new one, also after a loss of power. The folder must
    /// be there. What is written is readable by nobody else before it has its mode. A link of that name is replaced, not
    /// followed. Durable on return; a run that was killed leaves at most `.NAME.nibs-new` (0600), and the next one removes it.
    ///
    /// # Errors
    /// [`Cause::File`]; the old file is then as it was.
    pub fn write_atomic(
        &self,
        path: impl AsRef<Path>,
        content: &[u8],
        attributes: Attributes,
    ) -> Result<(), Failure> {
        let path = path.as_ref();
        let write = || -> io::Result<()> {
            let (folder, name) = self.entry(path)?;
            let mut temporary = OsString::from(".");
            temporary.push(name);
            temporary.push(".nibs-new");
            match rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let old = old_file(&folder, name);
            let written =
                write_new(&folder, &temporary, content, attributes, old.as_ref().unwrap_or(&folder))
                    .and_then(|()| Ok(rustix::fs::renameat(&folder, &temporary, &folder, name)?));
            if let Err(error) = written {
                // What matters is why it failed; the next run looks for the leftover again.
                let _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
                return Err(error);
            }
            folder.sync_all()
        };
        write().doing("writing", path)
    }

    /// A folder, open for reading.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<File> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY).map(File::from)
    }

    fn look(&self, path: &Path, flags: OFlags) -> io::Result<Option<Kind>> {
        let found = match self.resolve(path, OFlags::PATH | flags) {
            Ok(found) => found,
            Err(error) if nowhere(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Special,
        }))
    }

    /// The folder that a path's last name is in, and the name.
    fn entry<'a>(&self, path: &'a Path) -> io::Result<(File, &'a OsStr)> {
        match path.components().next_back() {
            Some(Component::Normal(name)) => {
                let above = path.parent().unwrap_or(Path::new("."));
                Ok((self.folder(if above.as_os_str().is_empty() { Path::new(".") } else { above })?, name))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no name")),
        }
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        loop {
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), inside) {
                // A rename elsewhere kept the kernel from proving that `..` stayed inside (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => continue,
                result => return Ok(result?),
            }
        }
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// The names of a path that something is to be made under.
fn plain_components(path: &Path) -> io::Result<Vec<&OsStr>> {
    path.components()
        .filter(|component| !matches!(component, Component::RootDir | Component::CurDir))
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has `..` in it")),
        })
        .collect()
}

fn make_dir(above: &File, name: &OsStr, attributes: Attributes) -> io::Result<File> {
    rustix::fs::mkdirat(above, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = File::from(rustix::fs::openat(above, name, flags, Mode::empty())?);
    inherit_label(above, &folder)?;
    apply(&folder, attributes)?;
    folder.sync_all()?;
    above.sync_all()?;
    Ok(folder)
}

/// The regular file that is about to be replaced, if there is one.
fn old_file(folder: &File, name: &OsStr) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?);
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

fn write_new(
    folder: &File,
    name: &OsStr,
    content: &[u8],
    attributes: Attributes,
    label_of: &File,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    inherit_label(label_of, &file)?;
    file.write_all(content)?;
    apply(&file, attributes)?;
    file.sync_all()
}

/// Owner first: a change of owner clears bits of the mode.
fn apply(file: &File, attributes: Attributes) -> io::Result<()> {
    use rustix::fs::{Gid, Uid};
    rustix::fs::fchown(file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode & 0o7777))?;
    Ok(())
}

/// Gives what is new the SELinux label of what it replaces or, as the installed system's own kernel would by default, of
/// its folder. Without a label an enforcing system does not let its services read the file.
fn inherit_label(from: &File, new: &File) -> io::Result<()> {
    let mut label = [0; 256];
    let length = match rustix::fs::fgetxattr(from, SELINUX, &mut label[..]) {
        Ok(length) => length,
        // No label there, or none that is sane: nothing to inherit.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match rustix::fs::fsetxattr(new, SELINUX, &label[..length], XattrFlags::empty()) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether an error means that nothing is at that path.
fn nowhere(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

trait Doing<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T, Failure>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T, Failure> {
        let path = String::from_utf8_lossy(path.as_os_str().as_bytes());
        let path = path.trim_start_matches('/');
        self.with_context(|| format!("{verb} /{path} of the installed system")).because(Cause::File)
    }
}
