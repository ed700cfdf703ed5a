//! What a PyTorch checkpoint's pickles name, before anything else looks at them.
//!
//! A pickle is a program: it can name any function and have it called by whoever loads it. The reader that follows calls
//! nothing, but it would also pass over such a call without a word; a file that carries one is no weight file, and users
//! shall know. So every name is held against a list of what tensors need, wherever in the pickle it stands.

use crate::EncoderError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;
use zip::{ZipArchive, ZipReadOptions};

/// Largest pickle; it holds names and sizes, the numbers are elsewhere.
const MAX_PICKLE_BYTES: u64 = 64 << 20;
/// How often larger an archive may be once it is unpacked; PyTorch does not compress, and weights hardly can be.
const MAX_EXPANSION: u64 = 8;
/// Longest text that can be a module or a name.
const MAX_NAME_BYTES: u64 = 256;
/// Pickles at the start of a file in PyTorch's older format: magic number, version, system, content, storages.
const LEGACY_PICKLES: usize = 5;
/// That format's magic number as protocol 2 and later, and as protocol 0 and 1 write it, and where it is looked for.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_MAGIC_TEXT: &[u8] = b"119547037146038801333356";
const LEGACY_MAGIC_WITHIN: usize = 64;
/// Where a tar archive says so: PyTorch's format before 0.1.10, whose pickles nobody needs.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// What the pickles of state dictionaries name: containers, tensors, storages, element types, and numpy's scalars, which
/// training programs keep beside the weights.
const KNOWN: [(&str, &[&str]); 13] = [
    ("collections", &["OrderedDict"]),
    ("builtins", &["set", "frozenset"]),
    ("__builtin__", &["set", "frozenset"]),
    (
        "torch._utils",
        &[
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
        ],
    ),
    ("torch.nn.parameter", &["Parameter"]),
    ("torch.storage", &["UntypedStorage", "TypedStorage", "_UntypedStorage", "_TypedStorage"]),
    ("torch.serialization", &["_get_layout"]),
    ("torch", TORCH),
    ("numpy", &["dtype"]),
    ("numpy.core.multiarray", &["scalar"]),
    ("numpy._core.multiarray", &["scalar"]),
    ("_codecs", &["encode"]),
    ("torch.cuda", TORCH),
];
const TORCH: &[&str] = &[
    "FloatStorage",
    "DoubleStorage",
    "HalfStorage",
    "BFloat16Storage",
    "LongStorage",
    "IntStorage",
    "ShortStorage",
    "CharStorage",
    "ByteStorage",
    "BoolStorage",
    "UntypedStorage",
    "Size",
    "device",
    "float16",
    "float32",
    "float64",
    "bfloat16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
];

/// Why a pickle is refused.
enum Fault {
    /// It names what is no part of a tensor.
    Callable(String),
    /// It is no pickle, or cut off.
    Damaged(String),
}

impl From<std::io::Error> for Fault {
    fn from(e: std::io::Error) -> Self {
        Self::Damaged(e.to_string())
    }
}

/// Looks through all pickles of a checkpoint.
///
/// # Errors
/// [`EncoderError::CodeInWeights`] naming the first callable that is no part of a tensor; [`EncoderError::Weights`] for
/// a file that is no checkpoint, is damaged, or unpacks to a multiple of its size.
pub(super) fn check(path: &Path) -> Result<(), EncoderError> {
    let damaged = |cause: String| EncoderError::Weights { cause, path: path.to_owned() };
    let refused = |fault| match fault {
        Fault::Callable(callable) => EncoderError::CodeInWeights { callable, path: path.to_owned() },
        Fault::Damaged(cause) => {
            damaged(format!("neither safetensors nor a PyTorch checkpoint that can be read: {cause}"))
        }
    };
    let io = |source| EncoderError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut start = Vec::new();
    file.by_ref().take((TAR.0 + TAR.1.len()) as u64).read_to_end(&mut start).map_err(io)?;
    file.rewind().map_err(io)?;
    let mut file = BufReader::new(file);
    if start.starts_with(b"PK") {
        return check_zip(file, bytes).map_err(refused);
    }
    if start.get(TAR.0..) == Some(TAR.1) {
        return Err(damaged("a tar archive, which PyTorch has not written since 2017".into()));
    }
    start.truncate(LEGACY_MAGIC_WITHIN);
    let has = |magic: &[u8]| start.windows(magic.len()).any(|w| w == magic);
    let pickles = if has(&LEGACY_MAGIC) || has(LEGACY_MAGIC_TEXT) { LEGACY_PICKLES } else { 1 };
    for _ in 0..pickles {
        Scan::default().run(&mut file).map_err(refused)?;
    }
    Ok(())
}

fn check_zip(file: BufReader<File>, bytes: u64) -> Result<(), Fault> {
    let unreadable = |e: zip::result::ZipError| Fault::Damaged(e.to_string());
    let mut archive = ZipArchive::new(file).map_err(unreadable)?;
    let mut unpacked = 0_u64;
    for i in 0..archive.len() {
        unpacked = unpacked.saturating_add(archive.by_index_raw(i).map_err(unreadable)?.size());
    }
    if unpacked > bytes.saturating_mul(MAX_EXPANSION) {
        return Err(Fault::Damaged(format!("{bytes} bytes would unpack to {unpacked}")));
    }
    for i in 0..archive.len() {
        // PyTorch writes a checksum of 0 when it is told to compute none
        let unchecked = archive.by_index_raw(i).map_err(unreadable)?.crc32() == 0;
        let options = ZipReadOptions::new().ignore_crc32(unchecked);
        let mut entry = archive.by_index_with_options(i, options).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?.into_owned();
        if !name.ends_with(".pkl") {
            continue;
        }
        if entry.size() > MAX_PICKLE_BYTES {
            return Err(Fault::Damaged(format!("`{name}` has {} bytes", entry.size())));
        }
        // no further than it claims, whatever the compressed bytes hold
        let (claimed, mut pickle) = (entry.size(), Vec::new());
        entry.by_ref().take(claimed).read_to_end(&mut pickle)?;
        Scan::default().run(&mut Cursor::new(pickle))?;
    }
    Ok(())
}

/// What a walk over a pickle's instructions remembers: texts that may become names.
#[derive(Default)]
struct Scan {
    /// The texts that the last two instructions have put on the stack; shorter when they did something else.
    texts: Vec<String>,
    /// Texts that were kept under a number.
    memo: BTreeMap<u32, Option<String>>,
}

impl Scan {
    /// Walks to the end of one pickle. The instructions are those of CPython's `pickletools`.
    fn run(&mut self, r: &mut impl BufRead) -> Result<(), Fault> {
        loop {
            let op = byte(r)?;
            match op {
                b'.' => return Ok(()),
                // names: of a global, of a global whose instance is made, of two texts on the stack
                b'c' | b'i' => {
                    let (module, name) = (line(r)?, line(r)?);
                    allowed(&module, &name)?;
                    self.texts.clear();
                }
                0x93 => {
                    let [module, name] = self.texts.as_slice() else {
                        return Err(Fault::Callable("a name that is put together while loading".into()));
                    };
                    allowed(module, name)?;
                    self.texts.clear();
                }
                // numbers of a registry that is not in the file
                0x82..=0x84 => return Err(Fault::Callable("an entry of the extension registry".into())),
                // texts
                0x8c | b'U' => {
                    let n = u64::from(byte(r)?);
                    self.text(r, n)?;
                }
                b'X' | b'T' => {
                    let n = u64::from(number(r)?);
                    self.text(r, n)?;
                }
                0x8d => {
                    let n = long_number(r)?;
                    self.text(r, n)?;
                }
                b'V' | b'S' => {
                    let text = line(r)?;
                    self.push(text.trim_matches(['\'', '"']).to_owned());
                }
                // kept under a number, and taken from there
                b'q' => {
                    let n = byte(r)?;
                    self.keep(n.into());
                }
                b'r' => {
                    let n = number(r)?;
                    self.keep(n);
                }
                b'p' => {
                    let n = index(&line(r)?)?;
                    self.keep(n);
                }
                0x94 => {
                    let n = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                    self.keep(n);
                }
                b'h' => {
                    let n = byte(r)?;
                    self.take(n.into());
                }
                b'j' => {
                    let n = number(r)?;
                    self.take(n);
                }
                b'g' => {
                    let n = index(&line(r)?)?;
                    self.take(n);
                }
                // a frame holds whole instructions, so it changes nothing
                0x95 => skip(r, 8)?,
                // everything else puts no text on the stack
                _ => {
                    self.texts.clear();
                    match op {
                        b'I' | b'L' | b'F' | b'P' => drop(line(r)?),
                        b'K' | 0x80 => skip(r, 1)?,
                        b'M' => skip(r, 2)?,
                        b'J' => skip(r, 4)?,
                        b'G' => skip(r, 8)?,
                        0x8a | b'C' => {
                            let n = byte(r)?;
                            skip(r, n.into())?;
                        }
                        0x8b | b'B' => {
                            let n = number(r)?;
                            skip(r, n.into())?;
                        }
                        0x8e | 0x96 => {
                            let n = long_number(r)?;
                            skip(r, n)?;
                        }
                        b'('
                        | b'0'..=b'2'
                        | b'N'
                        | b'Q'
                        | b'R'
                        | b'a'
                        | b'b'
                        | b'd'
                        | b'e'
                        | b'l'
                        | b'o'
                        | b's'
                        | b't'
                        | b'u'
                        | b']'
                        | b'}'
                        | b')'
                        | 0x81
                        | 0x85..=0x89
                        | 0x8f..=0x92
                        | 0x97
                        | 0x98 => {}
                        _ => return Err(Fault::Damaged(format!("no pickle: instruction {op:#04x}"))),
                    }
                }
            }
        }
    }

    fn push(&mut self, text: String) {
        if self.texts.len() == 2 {
            self.texts.remove(0);
        }
        self.texts.push(text);
    }

    fn text(&mut self, r: &mut impl BufRead, bytes: u64) -> Result<(), Fault> {
        if bytes > MAX_NAME_BYTES {
            self.texts.clear();
            return skip(r, bytes);
        }
        let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
        r.read_exact(&mut text)?;
        self.push(String::from_utf8_lossy(&text).into_owned());
        Ok(())
    }

    fn keep(&mut self, n: u32) {
        self.memo.insert(n, self.texts.last().cloned());
    }

    fn take(&mut self, n: u32) {
        match self.memo.get(&n).cloned().flatten() {
            Some(text) => self.push(text),
            None => self.texts.clear(),
        }
    }
}

fn allowed(module: &str, name: &str) -> Result<(), Fault> {
    if KNOWN.iter().any(|(m, names)| *m == module && names.contains(&name)) {
        return Ok(());
    }
    Err(Fault::Callable(format!("{module}.{name}").escape_debug().to_string()))
}

fn bytes<const N: usize>(r: &mut impl BufRead) -> Result<[u8; N], Fault> {
    let mut buffer = [0; N];
    r.read_exact(&mut buffer)?;
    Ok(buffer)
}

fn byte(r: &mut impl BufRead) -> Result<u8, Fault> {
    Ok(bytes::<1>(r)?[0])
}

fn number(r: &mut impl BufRead) -> Result<u32, Fault> {
    Ok(u32::from_le_bytes(bytes(r)?))
}

fn long_number(r: &mut impl BufRead) -> Result<u64, Fault> {
    Ok(u64::from_le_bytes(bytes(r)?))
}

fn skip(r: &mut impl BufRead, n: u64) -> Result<(), Fault> {
    let skipped = std::io::copy(&mut r.by_ref().take(n), &mut std::io::sink())?;
    if skipped == n { Ok(()) } else { Err(Fault::Damaged("a pickle ends early".into())) }
}

/// The rest of a line; only its start is kept, which is no name that is known when the line is long.
fn line(r: &mut impl BufRead) -> Result<String, Fault> {
    let mut text = Vec::new();
    let read = r.by_ref().take(MAX_NAME_BYTES).read_until(b'\n', &mut text)?;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    } else if (read as u64) < MAX_NAME_BYTES {
        return Err(Fault::Damaged("a pickle ends early".into()));
    } else {
        loop {
            let seen = r.fill_buf()?;
            if seen.is_empty() {
                return Err(Fault::Damaged("a pickle ends early".into()));
            }
            let end = seen.iter().position(|b| *b == b'\n');
            let n = end.map_or(seen.len(), |at| at + 1);
            r.consume(n);
            if end.is_some() {
                break;
            }
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn index(text: &str) -> Result<u32, Fault> {
    text.trim().parse().map_err(|_| Fault::Damaged(format!("no number of the memo: `{}`", text.escape_debug())))
}
