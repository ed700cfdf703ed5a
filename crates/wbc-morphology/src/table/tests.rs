use super::*;
use wbc_core::{MeasurementDef, QualityFlag, Unit};

fn schema() -> MeasurementSchema {
    let define = |name: &str| MeasurementDef {
        name: name.into(),
        unit: Unit::Ratio,
        definition: "drawn".into(),
        source: "test".into(),
    };
    MeasurementSchema { name: "drawn".into(), version: 3, measurements: vec![define("a.x"), define("a.y")] }
}

fn flags() -> QualityFlags {
    [QualityFlag::TouchesFrame, QualityFlag::LowContrast].into_iter().collect()
}

fn written(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut table = MeasurementTable::create(&path, &schema()).unwrap();
    table.write("one, \"two\"", "a/b.png", flags(), &[Some(0.1), None]).unwrap();
    table.write("zwei", "ü.png", QualityFlags::NONE, &[None, Some(-3.0)]).unwrap();
    assert!(!path.exists(), "not there before it is complete");
    table.finish().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    (folder, path)
}

#[test]
fn csv_has_empty_fields_for_undefined_values() {
    let (_folder, path) = written("t.csv");
    let expected =
        "id,path,flags,a.x,a.y\n\"one, \"\"two\"\"\",a/b.png,touches_frame;low_contrast,0.1,\nzwei,ü.png,,,-3\n";
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn json_lines_have_nulls_for_undefined_values() {
    let (_folder, path) = written("t.JSONL");
    let text = std::fs::read_to_string(path).unwrap();
    let first = r#"{"id":"one, \"two\"","path":"a/b.png","flags":"touches_frame;low_contrast","a.x":0.1,"a.y":null}"#;
    assert_eq!(text.lines().next(), Some(first));
    let second: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["a.y"], -3.0);
}

#[test]
fn an_abandoned_table_leaves_nothing_and_keeps_the_old_one() {
    let (folder, path) = written("t.csv");
    let before = std::fs::read(&path).unwrap();
    let mut table = MeasurementTable::create(&path, &schema()).unwrap();
    table.write("x", "x.png", QualityFlags::NONE, &[None, None]).unwrap();
    drop(table);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn impossible_tables_are_typed_errors() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str| MeasurementTable::create(&folder.path().join(name), &schema()).err().unwrap();
    assert!(matches!(create("t.xlsx"), TableError::UnknownFormat { .. }));
    assert!(matches!(create("t"), TableError::UnknownFormat { .. }));
    assert!(matches!(create("missing/t.csv"), TableError::Write { .. }));
    let mut table = MeasurementTable::create(&folder.path().join("t.csv"), &schema()).unwrap();
    let error = table.write("x", "x.png", QualityFlags::NONE, &[None]).unwrap_err();
    assert_eq!(error.to_string(), "1 values for 2 measurements: x");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_without_its_feature_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = MeasurementTable::create(&folder.path().join("t.parquet"), &schema()).err().unwrap();
    assert!(matches!(error, TableError::ParquetNotBuilt { .. }));
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_reads_back_in_groups_of_a_thousand() {
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Float64Type;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let mut table = MeasurementTable::create(&path, &schema()).unwrap();
    for i in 0..2500 {
        let value = (i % 3 != 0).then_some(i as f64);
        table.write(&format!("cell-{i}"), "p.png", flags(), &[value, Some(0.5)]).unwrap();
    }
    table.finish().unwrap();

    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    assert_eq!(builder.metadata().num_row_groups(), 3);
    assert_eq!(builder.schema().metadata()["wbc.measurements.version"], "3");
    let mut seen = 0;
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        let values = batch.column_by_name("a.x").unwrap().as_primitive::<Float64Type>();
        let ids = batch.column_by_name("id").unwrap().as_string::<i32>();
        for row in 0..batch.num_rows() {
            assert_eq!(ids.value(row), format!("cell-{seen}"));
            let value = (!values.is_null(row)).then(|| values.value(row));
            assert_eq!(value, (seen % 3 != 0).then_some(seen as f64));
            seen += 1;
        }
    }
    assert_eq!(seen, 2500);
}
