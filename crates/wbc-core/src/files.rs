use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file whole or not at all, replacing an existing one: beside it first, to the disk, then renamed.
///
/// # Errors
/// What the system says; nothing is left behind then.
pub fn write_atomic(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(format!(".{}-{}.writing", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let scratch = path.with_file_name(name);
    let write = |mut file: fs::File| file.write_all(content.as_ref()).and_then(|()| file.sync_all());
    fs::File::create(&scratch).and_then(write).and_then(|()| fs::rename(&scratch, path)).inspect_err(|_| {
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
