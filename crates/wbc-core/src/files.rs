use std::path::Path;
use std::{fs, io};

/// Writes a file whole or not at all, replacing an existing one: beside it first, to the disk, then renamed.
///
/// # Errors
/// What the system says; nothing is left behind then.
pub fn write_atomic(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let scratch = path.with_extension(format!("{}.writing", std::process::id()));
    fs::write(&scratch, content)
        .and_then(|()| fs::File::open(&scratch)?.sync_all())
        .and_then(|()| fs::rename(&scratch, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&scratch);
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file_and_no_scratch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomic(&path, "one").unwrap();
        write_atomic(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let in_the_way = folder.path().join("folder");
        fs::create_dir_all(in_the_way.join("inside")).unwrap();
        assert!(write_atomic(&in_the_way, "three").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
