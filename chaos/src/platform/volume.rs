//! A small volume of its own for a server's data, which can be filled: a tmpfs, which only root can mount.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Part, PlatformError};

/// What takes up the room.
const BALLAST: &str = "ballast";
const PIECE: usize = 256 * 1024;

/// A mounted volume; unmounted when its last copy is dropped.
#[derive(Debug, Clone)]
pub struct Volume(Arc<Mounted>);

#[derive(Debug)]
struct Mounted(PathBuf);

impl Volume {
    /// Mounts one of so many MiB in a folder that is made.
    pub(super) fn mount(part: &Part, folder: &Path, mebibytes: u32) -> Result<Self, PlatformError> {
        std::fs::create_dir_all(folder).map_err(PlatformError::folder(folder))?;
        let refused = |why: String| PlatformError::NoVolume { part: part.clone(), why };
        let options = CString::new(format!("size={mebibytes}m,mode=0755"))
            .map_err(|error| refused(error.to_string()))?;
        mount("tmpfs", folder, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
            .map_err(|error| refused(format!("mounting a tmpfs wants root: {error}")))?;
        Ok(Self(Arc::new(Mounted(folder.to_owned()))))
    }

    /// Fills it to the last byte; gives how many bytes that took. Blocks for moments.
    pub fn fill(&self) -> io::Result<u64> {
        let mut ballast = File::options().create(true).append(true).open(self.0.0.join(BALLAST))?;
        let mut size = PIECE;
        let mut taken = 0;
        // Smaller and smaller pieces, so that nothing is left.
        while size > 0 {
            match ballast.write(&vec![0; size]) {
                Ok(0) => size /= 2,
                Ok(written) => taken += written as u64,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Gives the room back.
    pub fn free(&self) -> io::Result<()> {
        match std::fs::remove_file(self.0.0.join(BALLAST)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: what still holds a file of it is about to end.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_to_the_last_byte_and_freed() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("small");
        match Volume::mount(&Part::new("postgres"), &place, 4) {
            Ok(volume) => {
                let taken = volume.fill().unwrap();
                assert!((3 << 20..=4 << 20).contains(&taken), "{taken}");
                let full = std::fs::write(place.join("more"), [0; 8_192]).unwrap_err();
                assert_eq!(full.kind(), io::ErrorKind::StorageFull);
                volume.free().unwrap();
                std::fs::write(place.join("more"), [0; 8_192]).unwrap();
                drop(volume);
                assert!(!place.join("more").exists(), "it is unmounted");
            }
            // Who may not mount is told so.
            Err(refused) => assert!(refused.to_string().contains("wants root"), "{refused}"),
        }
    }
}
