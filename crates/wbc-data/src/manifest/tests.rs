use super::*;
use crate::{Dataset, resolve_input};
use proptest::prelude::*;
use wbc_core::image::RgbImage;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    for name in ["a.png", "b.png", "sub/c.png"] {
        RgbImage::new(20, 10).save(dir.path().join(name)).unwrap();
    }
    dir
}

fn open_bytes(dir: &Path, csv: &[u8]) -> Result<Dataset, DataError> {
    let path = dir.join("cells.csv");
    std::fs::write(&path, csv).unwrap();
    resolve_input(path.to_str().unwrap(), &DataStore::new(None))
}

fn open(csv: &str) -> Result<Dataset, DataError> {
    open_bytes(folder().path(), csv.as_bytes())
}

fn only_warning(csv: &str) -> String {
    let dataset = open(csv).unwrap();
    assert_eq!((dataset.samples.len(), dataset.warnings.len()), (1, 1), "{csv}");
    dataset.warnings[0].to_string()
}

#[test]
fn every_column_reaches_the_sample() {
    let dataset = open(
        "path,id,label,split,mask,x0,y0,x1,y1,group,pixel_size_um,optics,cell_size\n\
         sub/c.png,one,Segs,val,a.png,1,2.0,11,9,p7,0.1,scope,big\nb.png,,,,,,,,,,,,\n",
    )
    .unwrap();
    let (b, one) = (&dataset.samples[0], &dataset.samples[1]);
    assert_eq!(one.id.0, "one");
    assert_eq!(one.annotation.cell_type.as_ref().unwrap().as_str(), "neutrophil");
    assert_eq!(one.annotation.value(&dataset.schema, "cell_size"), Some("big"));
    assert_eq!((one.split.as_deref(), one.group.as_deref()), (Some("val"), Some("p7")));
    assert_eq!(one.optics, Optics { name: Some("scope".into()), pixel_size_um: Some(PixelSize(0.1)) });
    assert!(
        matches!(&one.image, ImageSource::File { path, crop: Some(CropBox { x0: 1, y0: 2, x1: 11, y1: 9 }) } if path.ends_with("sub/c.png"))
    );
    assert!(matches!(&one.mask, Some(MaskSource::File(m)) if m.ends_with("a.png")));
    assert_eq!(b.id.0, "b");
    assert_eq!((b.annotation.cell_type.is_none(), b.optics.clone(), b.mask.is_none()), (true, Optics::default(), true));
}

#[test]
fn default_ids_are_paths_without_extension() {
    let dataset = open("path\nsub/c.png\n./sub/../a.png\n").unwrap();
    assert_eq!(dataset.samples.iter().map(|s| s.id.0.as_str()).collect::<Vec<_>>(), ["a", "sub/c"]);
}

#[test]
fn broken_tables_are_refused_with_file_and_cause() {
    for (csv, cause) in [
        ("id,label\n1,x\n", "no column `path`"),
        ("", "empty table"),
        ("path\n", "no cells"),
        ("path,path\na.png,b.png\n", "twice"),
        ("path,id\na.png,x\nb.png,y\nsub/c.png,x\n", "id `x` in rows 1 and 3"),
        ("path\na.png\na.png\n", "id `a` in rows 1 and 2"),
        ("path\n../x.png\n/etc/y.png\n", "no row can be used, 2 fail"),
    ] {
        let error = open(csv).unwrap_err().to_string();
        assert!(error.contains(cause) && error.contains("cells.csv"), "{csv:?}: {error}");
    }
    let header = open_bytes(folder().path(), b"path,\xff\na.png,1\n").unwrap_err().to_string();
    assert!(header.contains("not UTF-8"), "{header}");
}

#[test]
fn a_bad_row_is_a_warning_with_its_number_and_the_rest_is_kept() {
    for (csv, cause) in [
        ("path\na.png\n../b.png\n", "leaves the manifest's folder"),
        ("path\na.png\n/etc/passwd\n", "leaves the manifest's folder"),
        ("path\na.png\nsub/../../b.png\n", "leaves the manifest's folder"),
        ("path,mask\na.png,\nb.png,../m.png\n", "leaves the manifest's folder"),
        ("path,id\na.png,x\n,y\n", "`path` is empty"),
        ("path,id\na.png,x\nb.png,../../y\n", "cannot name a file"),
        ("path,cell_size\na.png,big\nb.png,huge\n", "unknown value of cell_size `huge`"),
        ("path,pixel_size_um\na.png,0.1\nb.png,-1\n", "no positive number"),
        ("path,pixel_size_um\na.png,0.1\nb.png,NaN\n", "no positive number"),
        ("path,x0,y0,x1,y1\na.png,,,,\nb.png,1,2,3,\n", "half a box"),
        ("path,x0,y0,x1,y1\na.png,,,,\nb.png,5,2,5,9\n", "is empty"),
        ("path,x0,y0,x1,y1\na.png,,,,\nb.png,-5,2,5,9\n", "no number of pixels"),
        ("path,label\na.png,x\nb.png\n", "1 fields where the header has 2"),
    ] {
        let warning = only_warning(csv);
        assert!(warning.contains(cause) && warning.contains("cells.csv, row 2"), "{csv:?}: {warning}");
    }
    let latin = open_bytes(folder().path(), b"path,label\na.png,x\nb.png,caf\xe9\n").unwrap();
    assert_eq!(latin.warnings[0].cause, "`label` is not UTF-8");
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_not_followed() {
    let (dir, outside) = (folder(), folder());
    std::os::unix::fs::symlink(outside.path().join("a.png"), dir.path().join("link.png")).unwrap();
    let dataset = open_bytes(dir.path(), b"path\na.png\nlink.png\n").unwrap();
    assert_eq!(dataset.samples.len(), 1);
    assert!(dataset.warnings[0].cause.contains("leaves"));
}

#[test]
fn unknown_labels_become_types_and_unknown_columns_are_noted() {
    let dataset = open("path,label,colour\na.png,Quasar Cell,1\nb.png,quasar-cell,2\n").unwrap();
    assert_eq!(dataset.classes.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["quasar_cell"]);
    let notes: Vec<_> = dataset.notes.iter().map(|n| n.cause.as_str()).collect();
    assert_eq!(notes, ["cell types of its own: quasar_cell (first in row 1)", "ignored columns: colour"]);
    assert!(dataset.warnings.is_empty());
}

#[test]
fn byte_order_marks_windows_lines_and_quotes_are_read() {
    let dataset = open("\u{feff}path,label\r\n\"a.png\",\"segs\"\r\n").unwrap();
    assert_eq!(dataset.classes[0].as_str(), "neutrophil");
}

#[test]
fn limits_bound_rows_and_lines() {
    let dir = folder();
    let path = dir.path().join("cells.csv");
    let mut store = DataStore::new(None);
    store.limits.max_rows = 1;
    std::fs::write(&path, "path\na.png\nb.png\n").unwrap();
    let text = path.to_str().unwrap();
    assert!(resolve_input(text, &store).unwrap_err().to_string().contains("more than 1 rows"));
    store.limits.max_line_bytes = 100;
    std::fs::write(&path, format!("path\n{}\n", "x".repeat(101))).unwrap();
    assert!(resolve_input(text, &store).unwrap_err().to_string().contains("a line of more than 100 bytes"));
}

#[test]
fn one_split_of_a_manifest_can_be_asked_for() {
    let dir = folder();
    let path = dir.path().join("cells.csv");
    std::fs::write(&path, "path,split\na.png,train\nb.png,val\n").unwrap();
    let open = |split: &str| resolve_input(&format!("{}:{split}", path.display()), &DataStore::new(None));
    assert_eq!(open("val").unwrap().samples[0].id.0, "b");
    assert!(matches!(open("test"), Err(DataError::NoCells { .. })));
}

proptest! {
    #[test]
    fn no_path_leaves_the_folder(parts in proptest::collection::vec(prop_oneof!["\\.\\.", "\\.", "[a-c]", "/"], 1..8)) {
        if let Some(clean) = lexical(Path::new(&parts.join("/"))) {
            prop_assert!(clean.components().all(|c| matches!(c, Component::Normal(_))));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let _ = open_bytes(dir.path(), &[b"path,x0\n".as_slice(), &bytes].concat());
    }
}
