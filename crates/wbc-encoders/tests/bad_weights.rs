//! Weight files that are broken or hostile are refused with an error that names file and tensor: nothing is run, nothing
//! panics, and little memory is taken.
#![recursion_limit = "256"]
#![expect(clippy::print_stderr, reason = "the fuzz loop says how many files it has made")]

use burn::tensor::Device;
use rand::{Rng, RngCore};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wbc_core::seeded_rng;
use wbc_encoders::{EncoderError, ImageLayout, TextLayout, WeightFile};

/// What the commands in `golden/bad_weights` would make.
const TRACE: &str = "/tmp/wbc-clip-was-run";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Opens a file, reads every tensor, and loads it as the encoders that it is taken for.
fn used(path: &Path) -> Result<(), EncoderError> {
    let file = WeightFile::open(path)?;
    for name in file.tensors().keys() {
        if file.tensors()[name].dtype != "I64" {
            file.read(name)?;
        }
    }
    if TextLayout::of(&file).is_some() {
        let (layout, config) = TextLayout::detect(&file)?;
        layout.load(&file, &config, &Device::flex())?;
        if ImageLayout::of(&file).is_none() {
            return Ok(());
        }
    }
    let (layout, config) = ImageLayout::detect(&file)?;
    layout.load(&file, &config, &Device::flex()).map(drop)
}

/// The error for a file, which must name that file.
fn refused(path: &Path) -> EncoderError {
    let error = used(path).expect_err(&path.display().to_string());
    let named = match &error {
        EncoderError::Weights { path, .. }
        | EncoderError::Tensor { path, .. }
        | EncoderError::CodeInWeights { path, .. }
        | EncoderError::Io { path, .. } => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(named, path);
    error
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("weights");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A file with that JSON as its header, and as many zeros behind it.
    fn safetensors(&self, header: &str, zeros: usize) -> PathBuf {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; zeros]);
        self.file(&bytes)
    }
}

#[test]
fn a_pickle_with_code_in_it_is_refused_by_the_name_of_the_code() {
    for (name, callable) in [
        ("code.pth", "posix.system"),
        ("code.pkl", "posix.system"),
        ("code-beside-weights.pth", "posix.system"),
        ("code-legacy.bin", "posix.system"),
        ("code-protocol4.pt", "posix.system"),
        ("code-dropped.pth", "posix.system"),
        ("code-inst.pth", "posix.system"),
        ("code-memo.pth", "posix.system"),
        ("code-computed.pth", "a name that is put together while loading"),
        ("extension.pth", "an entry of the extension registry"),
        ("eval-beside-weights.pth", "__builtin__.eval"),
        ("whole-module.pth", "torch.nn.modules.container.Sequential"),
    ] {
        let error = refused(&golden("bad_weights").join(name));
        assert!(matches!(&error, EncoderError::CodeInWeights { callable: c, .. } if c == callable), "{name}: {error}");
    }
    assert!(!Path::new(TRACE).exists(), "a command has been run, or {TRACE} is left from another program");
}

#[test]
fn archives_that_unpack_to_a_multiple_are_refused_before_they_do() {
    let error = refused(&golden("bad_weights/bomb.pth"));
    assert!(error.to_string().contains("would unpack to 33554"), "{error}");
    let error = refused(&golden("bad_weights/repeated.pth"));
    assert!(matches!(&error, EncoderError::Tensor { tensor, .. } if tensor == "weight"), "{error}");
}

#[test]
fn checkpoints_with_impossible_numbers_are_refused_by_tensor() {
    for (name, cause) in [("integers.pth", "holds I64"), ("infinite.pth", "is not finite")] {
        let path = golden("bad_weights").join(name);
        let error = WeightFile::open(&path).unwrap().read("conv1.weight").unwrap_err();
        let EncoderError::Tensor { tensor, cause: said, path: at } = error else { panic!("{error}") };
        assert_eq!((tensor.as_str(), said.as_str(), at), ("conv1.weight", cause, path));
    }
}

#[test]
fn safetensors_with_impossible_offsets_are_refused() {
    let folder = Folder::new();
    let one = |offsets: &str| format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}}}"#);
    let two = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    for (header, zeros) in [
        (two.to_owned(), 12),
        (one("[0,800]"), 8),
        (one("[4,12]"), 12),
        (one("[8,0]"), 8),
        (one("[-8,0]"), 8),
        (one("[18446744073709551608,18446744073709551615]"), 8),
        (one("[0,8]"), 9),
        (one("[0,8]"), 7),
        (r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#.into(), 0),
        (r#"{"a":{"dtype":"Q7","shape":[2],"data_offsets":[0,8]}}"#.into(), 8),
        ("{}".into(), 0),
        ("{".into(), 0),
        ("{\"a\":\u{0}}".into(), 8),
    ] {
        let error = refused(&folder.safetensors(&header, zeros));
        assert!(matches!(error, EncoderError::Weights { .. }), "{header}: {error}");
    }
}

#[test]
fn a_header_of_ten_gigabytes_takes_no_memory() {
    let folder = Folder::new();
    for claimed in [10_u64 << 30, 90 << 20, u64::MAX, u64::MAX - 7, 0] {
        let mut bytes = claimed.to_le_bytes().to_vec();
        bytes.extend(b"{\"a\":");
        let start = Instant::now();
        refused(&folder.file(&bytes));
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn what_is_no_file_or_an_empty_one_is_refused() {
    let folder = Folder::new();
    let error = refused(folder.0.path());
    assert!(error.to_string().starts_with("it is no file"), "{error}");
    for bytes in [&b""[..], b"PK", b"PK\x03\x04", b"hello, world", b"\x80\x02}.", b"\x80"] {
        assert!(matches!(refused(&folder.file(bytes)), EncoderError::Weights { .. }), "{bytes:?}");
    }
    // a proper pickle to its first byte, a tar archive to the reader
    let mut tar = vec![0; 512];
    tar[..2].copy_from_slice(b"N.");
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refused(&folder.file(&tar)).to_string().starts_with("a tar archive"));
    assert!(matches!(refused(&folder.0.path().join("absent")), EncoderError::Io { .. }));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let folder = Folder::new();
    for name in ["format.safetensors", "format-zip.pth", "format-legacy.pth", "format-nested.pth"] {
        let whole = std::fs::read(golden("image").join(name)).unwrap();
        used(&folder.file(&whole)).unwrap();
        for end in (0..whole.len()).step_by(31).chain([whole.len() - 1]) {
            refused(&folder.file(&whole[..end]));
        }
    }
}

/// A tiny vision transformer with one tensor changed, written as safetensors.
fn changed(folder: &Folder, tensor: &str, change: impl Fn(&mut serde_json::Value, &mut [u8])) -> PathBuf {
    let mut bytes = std::fs::read(golden("image/format.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let entry = header.get_mut(tensor).unwrap();
    let offset = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
    let (from, to) = (8 + length + offset(0), 8 + length + offset(1));
    change(entry, &mut bytes[from..to]);
    let header = serde_json::to_vec(&header).unwrap();
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + length..]].concat();
    folder.file(&file)
}

#[test]
fn a_tensor_of_wrong_type_shape_or_value_is_refused_by_name() {
    let folder = Folder::new();
    let name = "blocks.0.attn.qkv.weight";
    let shape = |sides: [usize; 2]| move |entry: &mut serde_json::Value, _: &mut [u8]| entry["shape"] = sides.into();
    let number =
        |v: f32| move |_: &mut serde_json::Value, data: &mut [u8]| data[20..24].copy_from_slice(&v.to_le_bytes());
    let files: [(&dyn Fn() -> PathBuf, &str); 5] = [
        (&|| changed(&folder, name, |entry, _| entry["dtype"] = "I32".into()), "holds I32"),
        (&|| changed(&folder, name, shape([8, 24])), "has shape [8, 24] where [24, 8] is expected"),
        (&|| changed(&folder, name, number(f32::NAN)), "is not finite"),
        (&|| changed(&folder, name, number(f32::INFINITY)), "is not finite"),
        (&|| changed(&folder, name, number(f32::NEG_INFINITY)), "is not finite"),
    ];
    for (file, cause) in files {
        let path = file();
        let file = WeightFile::open(&path).unwrap();
        let (layout, config) = ImageLayout::detect(&file).unwrap();
        let error = layout.load(&file, &config, &Device::flex()).unwrap_err();
        let EncoderError::Tensor { tensor, cause: said, path: at } = error else { panic!("{error}") };
        assert_eq!((tensor.as_str(), said.as_str(), at), (name, cause, path));
    }
}

#[test]
fn sizes_that_the_file_cannot_fill_take_no_memory() {
    let folder = Folder::new();
    let empty = |name: &str, shape: &str| format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}"#);
    // sides of zero make room for any other side in an empty file
    let mut entries = vec![
        empty("patch_embed.proj.weight", "[65536,3,16,0]"),
        empty("pos_embed", "[1,196,0]"),
        empty("blocks.0.mlp.fc1.weight", "[65536,0]"),
    ];
    entries.extend((0..256).map(|i| empty(&format!("blocks.{i}.norm1.weight"), "[0]")));
    let path = folder.safetensors(&format!("{{{}}}", entries.join(",")), 0);
    let error = refused(&path);
    assert!(error.to_string().starts_with("0 numbers, too few for an encoder of at least"), "{error}");

    let mut entries = vec![
        r#""embeddings.word_embeddings.weight":{"dtype":"F32","shape":[1,12288],"data_offsets":[0,49152]}"#.to_owned(),
        empty("embeddings.position_embeddings.weight", "[512,0]"),
        empty("embeddings.token_type_embeddings.weight", "[2,0]"),
    ];
    entries.extend((0..256).map(|i| empty(&format!("encoder.layer.{i}.intermediate.dense.weight"), "[49152,0]")));
    let path = folder.safetensors(&format!("{{{}}}", entries.join(",")), 49152);
    let error = refused(&path);
    assert!(error.to_string().starts_with("12288 numbers, too few for an encoder of at least"), "{error}");

    let path = folder.safetensors(&format!("{{{}}}", empty("conv1.weight", "[4611686018427387904,0,3,3]")), 0);
    let error = refused(&path);
    assert!(matches!(&error, EncoderError::Tensor { tensor, .. } if tensor == "conv1.weight"), "{error}");
}

/// Changes bytes as an attacker or a bad disk would.
fn mutated(mut bytes: Vec<u8>, rng: &mut dyn RngCore) -> Vec<u8> {
    const TELLING: [&[u8]; 8] =
        [b"\0", b"\xff\xff\xff\xff", b"\x7f", b"\x80", b"9999999999", b"-1", b"[]", b"cposix\nsystem\n"];
    for _ in 0..rng.random_range(1..=6) {
        if bytes.is_empty() {
            break;
        }
        // what describes the numbers stands at either end
        let near = bytes.len().min(2048);
        let at = match rng.random_range(0..4) {
            0 => rng.random_range(0..bytes.len()),
            1 => bytes.len() - 1 - rng.random_range(0..near),
            _ => rng.random_range(0..near),
        };
        let end = (at + rng.random_range(1..=16)).min(bytes.len());
        match rng.random_range(0..7) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes[at] = rng.random(),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => bytes[at..end].reverse(),
            _ => {
                let text = TELLING[rng.random_range(0..TELLING.len())];
                bytes.splice(at..at, text.iter().copied());
            }
        }
    }
    bytes
}

/// An archive with its pickle changed and all checksums right, so that the change is seen.
fn with_mutated_pickle(bytes: &[u8], rng: &mut dyn RngCore) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).ok()?;
        let (name, mut data) = (entry.name().ok()?.into_owned(), Vec::new());
        entry.read_to_end(&mut data).ok()?;
        let data = if name.ends_with(".pkl") { mutated(data, rng) } else { data };
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(name, stored).ok()?;
        writer.write_all(&data).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// Changed files of every format never panic. Runs for `WBC_CLIP_FUZZ_SECONDS` from `WBC_CLIP_FUZZ_SEED`:
/// `WBC_CLIP_FUZZ_SECONDS=600 cargo test --test bad_weights -- --ignored --nocapture fuzz`
#[test]
#[ignore = "runs for as long as it is told"]
fn fuzz_weight_files() {
    let setting = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (setting("WBC_CLIP_FUZZ_SECONDS", 10), setting("WBC_CLIP_FUZZ_SEED", 1));
    let mut files = Vec::new();
    let inside = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders = vec![golden("image"), golden("bad_weights")];
    folders.extend(inside(golden("text")).filter(|path| path.is_dir()));
    for folder in folders {
        let weights = |path: &PathBuf| path.is_file() && path.extension().is_none_or(|e| e != "json" && e != "txt");
        let mut paths: Vec<PathBuf> = inside(folder).filter(weights).collect();
        paths.sort();
        files.extend(paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())));
    }
    let folder = Folder::new();
    let (start, mut inputs, mut accepted) = (Instant::now(), 0_u64, 0_u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        let rng = &mut seeded_rng(&[seed, inputs]);
        let (path, whole) = &files[rng.random_range(0..files.len())];
        let inner = if rng.random_bool(0.5) { with_mutated_pickle(whole, rng) } else { None };
        let bytes = inner.unwrap_or_else(|| mutated(whole.clone(), rng));
        let changed = folder.file(&bytes);
        let began = Instant::now();
        let outcome = std::panic::catch_unwind(|| used(&changed));
        let Ok(outcome) = outcome else { panic!("input {inputs} of seed {seed}, made from {}", path.display()) };
        assert!(began.elapsed() < Duration::from_secs(20), "input {inputs} of seed {seed} took {:?}", began.elapsed());
        accepted += u64::from(outcome.is_ok());
        inputs += 1;
    }
    eprintln!("{inputs} files, {accepted} of them still sound, in {seconds} s from seed {seed}");
    assert!(inputs > 0 && !Path::new(TRACE).exists());
}
