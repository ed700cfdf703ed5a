//! Caption files: resumable, crash-safe, judged line by line.

use std::fs;
use wbc_caption::{CaptionRecord, Grammar, Outcome, RecordWriter, Verifier, read_records, verify_file};
use wbc_core::{Annotation, AttributeSchema, Captioner, CellDescription, CellType, CellTypes, Limits, SampleId};

fn records(id: &str, n: usize) -> Vec<CaptionRecord> {
    let schema = AttributeSchema::wbcatt();
    let mut cell = Annotation::unknown(&schema);
    cell.cell_type = Some(CellType::new("basophil"));
    cell.set(&schema, "granule_colour", "purple").unwrap();
    let captions = Grammar::wbcatt().captions(&CellDescription { annotation: &cell, measured: None }, n, 3).unwrap();
    captions
        .into_iter()
        .zip(0..)
        .map(|(c, i)| CaptionRecord::new(SampleId(id.into()), i, c, Outcome::Faithful))
        .collect()
}

#[test]
fn a_torn_last_line_is_dropped_on_resume() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("captions.jsonl");
    let limits = Limits::default();
    let mut writer = RecordWriter::open(&path, &limits).unwrap();
    writer.append(&records("a", 2)).unwrap();
    writer.append(&records("b", 2)).unwrap();
    writer.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();

    let (a, b) = (SampleId("a".into()), SampleId("b".into()));
    let mut writer = RecordWriter::open(&path, &limits).unwrap();
    assert!(writer.is_complete(&a, 2) && !writer.is_complete(&b, 2));
    assert!(writer.has(&b, 0) && !writer.has(&b, 1));
    writer.append(&records("b", 2)[1..]).unwrap();
    writer.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn bad_lines_are_reported_by_number_and_stop_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("captions.jsonl");
    let mut good = records("a", 1).remove(0);
    let mut lines = vec![serde_json::to_string(&good).unwrap(), "{\"version\": 1}".to_owned()];
    good.version = 9;
    lines.push(serde_json::to_string(&good).unwrap());
    good.version = 1;
    good.text = "basophil with pink granules".into();
    lines.push(serde_json::to_string(&good).unwrap());
    fs::write(&path, lines.join("\n")).unwrap();

    let limits = Limits::default();
    let read: Vec<_> = read_records(&path, &limits).unwrap().collect();
    assert!(read[1].as_ref().unwrap_err().to_string().ends_with("captions.jsonl:2"));
    assert!(read[2].as_ref().unwrap_err().to_string().contains("version 9 where 1 or 2 is expected"));

    let verifier = Verifier::new(&AttributeSchema::wbcatt(), &CellTypes::builtin());
    let mut reports = Vec::new();
    verify_file(&path, &verifier, &limits, &|_| Ok(None), &mut |report| reports.push(report)).unwrap();
    let faithful: Vec<bool> = reports.iter().map(|r| r.is_faithful()).collect();
    // Any program may have written the third, so its version does not matter.
    assert_eq!(faithful, [true, false, true, false]);
    assert_eq!(reports[3].verification.as_ref().unwrap().contradicted.len(), 1);
}

#[test]
fn overlong_lines_end_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("captions.jsonl");
    fs::write(&path, "x".repeat(3000)).unwrap();
    let limits = Limits { max_line_bytes: 1000, ..Limits::default() };
    let read: Vec<_> = read_records(&path, &limits).unwrap().collect();
    assert_eq!(read.len(), 1);
    assert!(read[0].as_ref().unwrap_err().to_string().contains("longer than 1000 bytes"));
}

#[test]
fn a_file_of_any_length_is_continued_by_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("captions.jsonl");
    let few = Limits { max_rows: 3, ..Limits::default() };
    let mut writer = RecordWriter::open(&path, &few).unwrap();
    writer.append(&records("a", 4)).unwrap();
    let second = RecordWriter::open(&path, &few).unwrap_err();
    assert!(std::error::Error::source(&second).unwrap().to_string().contains("another run is writing"), "{second}");
    writer.finish().unwrap();
    let mut writer = RecordWriter::open(&path, &few).unwrap();
    assert!(writer.is_complete(&SampleId("a".into()), 4));
    writer.append(&records("b", 4)).unwrap();
    writer.finish().unwrap();
    assert_eq!(read_records(&path, &Limits::default()).unwrap().filter(Result::is_ok).count(), 8);
}

#[test]
fn names_that_the_input_lacks_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("captions.jsonl");
    let lines =
        records("a", 1).iter().chain(&records("b", 1)).map(|r| serde_json::to_string(r).unwrap()).collect::<Vec<_>>();
    fs::write(&path, lines.join("\n")).unwrap();
    let verifier = Verifier::new(&AttributeSchema::wbcatt(), &CellTypes::builtin());
    let known = |id: &SampleId| if id.0 == "a" { Ok(None) } else { Err(format!("`{}` is not there", id.0)) };
    let mut reports = Vec::new();
    verify_file(&path, &verifier, &Limits::default(), &known, &mut |report| reports.push(report)).unwrap();
    assert!(reports[0].is_faithful() && !reports[1].is_faithful());
    assert!(reports[1].error.as_ref().unwrap().contains("`b` is not there"), "{reports:?}");
}
