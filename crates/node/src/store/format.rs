//! The format of all that a node keeps below its data folder, so that a build never reads what another wrote otherwise.

use crate::config::ConfigError;
use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

/// Counted up with every change of what is on disk.
const FORMAT: u32 = 2;

/// The folder below `data` that the actors keep their files in, once it is sure that they can read what is there.
///
/// The format is written down, durably, before anything else is, and checked ever after.
///
/// # Errors
///
/// Another format, or files cannot be read or written.
pub fn storage(data: &Path) -> Result<PathBuf, ConfigError> {
    let (storage, format) = (data.join("storage"), data.join("format"));
    let failed = |error| ConfigError::Io { path: format.clone(), error };
    let found = match fs::read_to_string(&format) {
        Ok(text) => text.trim().to_owned(),
        // Builds before the first format did not say.
        Err(error) if error.kind() == ErrorKind::NotFound && storage.exists() => "1".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(data).map_err(failed)?;
            // Written apart and renamed: a crash leaves all of it or nothing.
            let written = data.join("format.new");
            let mut file = fs::File::create(&written).map_err(failed)?;
            writeln!(file, "{FORMAT}").and_then(|()| file.sync_all()).map_err(failed)?;
            fs::rename(&written, &format).map_err(failed)?;
            fs::File::open(data).and_then(|folder| folder.sync_all()).map_err(failed)?;
            return Ok(storage);
        }
        Err(error) => return Err(failed(error)),
    };
    if found == FORMAT.to_string() {
        return Ok(storage);
    }
    Err(ConfigError::Content {
        path: format,
        problem: format!(
            "what is on disk has format {found:?}, and this build reads {FORMAT}: run the build that wrote it, or start \
             with an empty data folder (a validator then signs from the next epoch on)"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_gets_the_format_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        for _ in 0..2 {
            assert_eq!(storage(&data).unwrap(), data.join("storage"));
        }
        assert_eq!(fs::read_to_string(data.join("format")).unwrap().trim(), FORMAT.to_string());
    }

    #[test]
    fn what_another_build_wrote_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("storage")).unwrap();
        let unsaid = storage(&data).unwrap_err().to_string();
        assert!(unsaid.contains("format \"1\""), "{unsaid}");
        fs::write(data.join("format"), "999\n").unwrap();
        let newer = storage(&data).unwrap_err().to_string();
        assert!(newer.contains("999") && newer.contains("empty data folder"), "{newer}");
    }
}
