use super::*;
use ndarray::{Array2, array};
use proptest::prelude::*;
use tempfile::TempDir;

fn index() -> ExactIndex {
    let mut index = ExactIndex::new(3, "fingerprint-1").unwrap();
    let flags = [QualityFlag::TouchesFrame, QualityFlag::LowContrast].into_iter().collect();
    let entries = vec![
        Entry::new("a").with_path("cells/a.jpg").with_text("a bilobed nucleus, pink granules"),
        Entry::new("é\n;").with_flags(flags),
        Entry::new("zero"),
    ];
    index.add(entries, &Embeddings::new(array![[1.0, 2.0, 3.0], [0.1, 0.0, -0.7], [0.0, 0.0, 0.0]]).unwrap()).unwrap();
    index
}

fn saved() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("index.parquet");
    index().save(&path).unwrap();
    (dir, path)
}

fn load(path: &Path) -> Result<ExactIndex, RetrievalError> {
    ExactIndex::load(path, &Limits::default())
}

/// A file with the given metadata and one row.
fn forged(header: &[(&str, &str)], embedding: ArrayRef) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("forged.parquet");
    let one = || -> ArrayRef { Arc::new(StringArray::from(vec![""])) };
    let columns = [("id", one()), ("path", one()), ("flags", one()), ("text", one()), ("embedding", embedding)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let header = header.iter().map(|(k, v)| KeyValue::new((*k).to_owned(), (*v).to_owned())).collect();
    let properties = WriterProperties::builder().set_key_value_metadata(Some(header)).build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    (dir, path)
}

fn vector(values: &[f32]) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Arc::new(Float32Array::from(values.to_vec()));
    Arc::new(FixedSizeListArray::try_new(item, values.len() as i32, values, None).unwrap())
}

const HEADER: [(&str, &str); 4] = [(KEY_FORMAT, FORMAT), (KEY_VERSION, "1"), (KEY_DIM, "2"), (KEY_MODEL, "m")];

#[test]
fn an_index_comes_back_bit_by_bit() {
    let (_dir, path) = saved();
    assert_eq!(load(&path).unwrap(), index());
    let bytes = fs::read(&path).unwrap();
    index().save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes, "saving again gives the same bytes");
}

#[test]
fn an_empty_index_keeps_width_and_model() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("empty.parquet");
    ExactIndex::new(5, "m").unwrap().save(&path).unwrap();
    let back = load(&path).unwrap();
    assert_eq!((back.len(), back.dim(), back.model()), (0, 5, "m"));
}

#[test]
fn writing_in_pieces_equals_saving_the_whole_over_row_groups() {
    let dir = TempDir::new().unwrap();
    let n = 2 * ROW_GROUP + 5;
    let rows = Embeddings::new(Array2::from_shape_fn((n, 4), |(i, j)| ((i * 7 + j * 3) % 13) as f32 - 6.0)).unwrap();
    let entries: Vec<Entry> = (0..n).map(|i| Entry::new(format!("{i}"))).collect();
    let mut whole = ExactIndex::new(4, "m").unwrap();
    whole.add(entries.clone(), &rows).unwrap();

    let path = dir.path().join("pieces.parquet");
    let mut writer = IndexWriter::create(&path, 4, "m").unwrap();
    for start in (0..n).step_by(1000) {
        let piece: Vec<usize> = (start..(start + 1000).min(n)).collect();
        writer.write(&entries[start..start + piece.len()], &rows.select(&piece)).unwrap();
    }
    assert!(!path.exists(), "no file under its name before it is complete");
    writer.finish().unwrap();
    assert_eq!(load(&path).unwrap(), whole);
}

#[test]
fn an_abandoned_writer_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    drop(IndexWriter::create(&dir.path().join("x.parquet"), 2, "m").unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let elsewhere = IndexWriter::create(&dir.path().join("absent/x.parquet"), 2, "m");
    assert!(matches!(elsewhere, Err(RetrievalError::Write { .. })));
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let dir = TempDir::new().unwrap();
    let mut writer = IndexWriter::create(&dir.path().join("x.parquet"), 2, "m").unwrap();
    let wide = Embeddings::new(array![[1.0, 0.0, 0.0]]).unwrap();
    assert!(matches!(writer.write(&[Entry::new("a")], &wide), Err(RetrievalError::Width { .. })));
    let fits = Embeddings::new(array![[1.0, 0.0]]).unwrap();
    assert!(matches!(writer.write(&[], &fits), Err(RetrievalError::Count { .. })));
}

#[test]
fn files_that_are_no_index_say_why() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("absent.parquet");
    assert!(matches!(load(&path), Err(RetrievalError::Read { .. })));
    for bytes in [b"".as_slice(), b"id,path\n", b"PAR1PAR1"] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(load(&path), Err(RetrievalError::Parquet { .. })));
    }

    let fits = || vector(&[0.6, 0.8]);
    let malformed = |header: &[(&str, &str)], embedding| {
        let (_dir, path) = forged(header, embedding);
        match load(&path) {
            Err(RetrievalError::Malformed { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    };
    assert!(malformed(&[], fits()).contains("not an index"));
    assert!(malformed(&[HEADER[0], HEADER[1], (KEY_DIM, "-2"), HEADER[3]], fits()).contains("no width"));
    assert!(malformed(&HEADER[..3], fits()).contains("wbc_clip.model"));
    assert!(malformed(&HEADER, vector(&[1.0, 0.0, 0.0])).contains("row 0 has width 3, metadata say 2"));
    assert!(malformed(&HEADER, vector(&[1.0, f32::NAN])).contains("row 0 is not finite"));
    assert!(malformed(&HEADER, vector(&[1.0, f32::INFINITY])).contains("row 0 is not finite"));
    assert!(malformed(&HEADER, vector(&[1.0, 1.0])).contains("expected 1"));
    assert!(malformed(&HEADER, Arc::new(Float32Array::from(vec![1.0]))).contains("no list of 32-bit floats"));

    let (_dir, path) = forged(&HEADER, fits());
    assert_eq!(load(&path).unwrap().len(), 1);
    let (_dir, path) = forged(&[HEADER[0], (KEY_VERSION, "2"), HEADER[2], HEADER[3]], fits());
    assert!(matches!(load(&path), Err(RetrievalError::Version { expected: 1, .. })));
    let few = Limits { max_rows: 2, ..Limits::default() };
    let (_dir, path) = saved();
    assert!(matches!(ExactIndex::load(&path, &few), Err(RetrievalError::OverLimit { found: 3, limit: 2, .. })));
}

#[test]
fn unknown_flags_are_named() {
    assert_eq!(flags_from_text("no_cell;low_contrast").unwrap().to_string(), "no_cell;low_contrast");
    assert_eq!(flags_from_text(""), Ok(QualityFlags::NONE));
    assert_eq!(flags_from_text("no_cell;purple"), Err("purple".into()));
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let (_dir, path) = saved();
    let bytes = fs::read(&path).unwrap();
    for end in 0..bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        assert!(load(&path).is_err(), "cut at {end} of {}", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn damaged_files_never_unwind_into_the_caller(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let (_dir, path) = saved();
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        fs::write(&path, bytes).unwrap();
        let _ = load(&path);
    }
}
