use crate::{DataError, DataStore, Dataset, stats, verify};
use std::path::Path;
use wbc_core::image::{GrayImage, RgbImage};
use wbc_core::{AttributeSchema, CancelToken, NoProgress};

const HEADER: &str = "img_name,label,cell_size,path";

fn image(root: &Path, path: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    match path.extension().unwrap() == "png" {
        true => GrayImage::new(6, 5).save(path).unwrap(),
        false => RgbImage::new(6, 5).save(path).unwrap(),
    }
}

fn table(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn open(root: &Path, id: &str) -> Result<Dataset, DataError> {
    DataStore::new(Some(root.to_owned())).open(&id.parse().unwrap())
}

fn ids_and_types(dataset: &Dataset) -> Vec<(&str, &str)> {
    let name = |s: &'_ wbc_core::Sample| s.annotation.cell_type.clone();
    let types = dataset.samples.iter().map(name).collect::<Vec<_>>();
    let known = |t: &Option<wbc_core::CellType>| dataset.classes.iter().find(|c| Some(*c) == t.as_ref());
    let named = |t| known(t).map_or("", |c| c.as_str());
    dataset.samples.iter().zip(&types).map(|(s, t)| (s.id.0.as_str(), named(t))).collect()
}

#[test]
fn wbcatt_reads_the_splits_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    image(root, "pbc/X/neutrophil/BNE_1.jpg");
    image(root, "pbc/X/monocyte/MO_2.jpg");
    table(
        root,
        "wbcatt/pbc_attr_v1_train.csv",
        &format!("{HEADER}\nBNE_1.jpg,Neutrophil,big,X/neutrophil/BNE_1.jpg\n"),
    );
    table(root, "wbcatt/pbc_attr_v1_val.csv", &format!("{HEADER}\nMO_2.jpg,Monocyte,small,X/monocyte/MO_2.jpg\n"));
    let all = open(root, "wbcatt").unwrap();
    assert_eq!(ids_and_types(&all), [("BNE_1", "neutrophil"), ("MO_2", "monocyte")]);
    assert_eq!(all.samples[1].annotation.value(&AttributeSchema::wbcatt(), "cell_size"), Some("small"));
    assert!(all.warnings.is_empty() && all.notes[0].item == "wbcatt:test");
    assert_eq!(ids_and_types(&open(root, "wbcatt:val").unwrap()), [("MO_2", "monocyte")]);

    // the second annotators' table has no splits of its own
    table(root, "wbcatt/pbc_attr_reannotations.csv", &format!("{HEADER}\nMO_2.jpg,Monocyte,big,X/monocyte/MO_2.jpg\n"));
    assert_eq!(open(root, "wbcatt-second:val").unwrap().samples.len(), 1);
    assert!(matches!(open(root, "wbcatt-second:train"), Err(DataError::NoCells { .. })));
}

#[test]
fn absent_files_are_named_with_where_they_belong_and_come_from() {
    let dir = tempfile::tempdir().unwrap();
    for (id, file) in [
        ("wbcatt", "wbcatt/pbc_attr_v1_train.csv"),
        ("wbcatt:test", "wbcatt/pbc_attr_v1_test.csv"),
        ("bccd", "bccd/labels.csv"),
        ("zheng2018-d1", "zheng2018/Class Labels of Dataset 1.csv"),
        ("pbc", "pbc/PBC_dataset_normal_DIB"),
        ("aml-cytomorphology", "AML-Cytomorphology_LMU"),
    ] {
        let error = open(dir.path(), id).unwrap_err();
        assert!(matches!(error, DataError::MissingFile { .. }), "{id}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(file) && text.contains(dir.path().to_str().unwrap()) && text.contains("http"), "{text}");
        let rootless = DataStore::new(None).open(&id.parse().unwrap()).unwrap_err().to_string();
        assert!(rootless.contains(file) && rootless.contains("WBC_CLIP_DATA"), "{rootless}");
    }
    table(dir.path(), "wbcatt/pbc_attr_v1_val.csv", &format!("{HEADER}\na.jpg,Monocyte,big,X/a.jpg\n"));
    let text = open(dir.path(), "wbcatt:val").unwrap_err().to_string();
    assert!(text.contains("pbc/X/a.jpg; get them from"), "{text}");
}

#[test]
fn unknown_splits_and_unreadable_datasets_say_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let text = |id| open(dir.path(), id).unwrap_err().to_string();
    assert!(text("wbcatt:monday").contains("expected one of: train, val, test"));
    assert!(text("bccd:val").contains("has no splits"));
    assert!(text("bloodmnist").contains("pbc"));
    assert!(text("folder").contains("path"));
    assert!(text("quasar").contains("zheng2018-d2"));
}

#[test]
fn bad_index_rows_refuse_a_registered_dataset() {
    let dir = tempfile::tempdir().unwrap();
    for (rows, cause) in [
        ("a.jpg,Monocyte,huge,X/a.jpg", "row 1"),
        ("a.jpg,Monocyte,big,X/a.jpg\na.jpg,Monocyte,big,Y/a.jpg", "id `a` in rows 1 and 2"),
        ("a.jpg,Monocyte,big,", "no path"),
        ("a.jpg,Monocyte,big,../../a.jpg", "leaves its folder"),
    ] {
        table(dir.path(), "wbcatt/pbc_attr_v1_val.csv", &format!("{HEADER}\n{rows}\n"));
        let text = open(dir.path(), "wbcatt:val").unwrap_err().to_string();
        assert!(text.contains(cause) && text.contains("pbc_attr_v1_val.csv"), "{text}");
    }
}

#[test]
fn class_folders_map_their_names_and_know_their_splits() {
    let dir = tempfile::tempdir().unwrap();
    let aml = "aml-cytomorphology/AML-Cytomorphology_LMU";
    for name in ["MYB/MYB_1.tiff", "NGB/NGB_1.tiff", "NGS/NGS_1.tiff", "XYZ/XYZ_1.tiff"] {
        image(dir.path(), &format!("{aml}/{name}"));
    }
    let found = open(dir.path(), "aml-cytomorphology").unwrap();
    let expected =
        [("MYB/MYB_1", "myelocyte"), ("NGB/NGB_1", "neutrophil"), ("NGS/NGS_1", "neutrophil"), ("XYZ/XYZ_1", "xyz")];
    assert_eq!(ids_and_types(&found), expected);
    assert_eq!(found.notes[0].cause, "cell types of its own: xyz");

    image(dir.path(), "lisc/LISC Database/Main Dataset/Baso/1.bmp");
    image(dir.path(), "lisc/LISC Database/Main Dataset/Mixt/1.bmp");
    assert_eq!(ids_and_types(&open(dir.path(), "lisc").unwrap()), [("Baso/1", "basophil")]);

    image(dir.path(), "raabin-wbc/Train/Monocyte/1.jpg");
    image(dir.path(), "raabin-wbc/TestB/Neutrophil/1.jpg");
    let test_b = open(dir.path(), "raabin-wbc:test-b").unwrap();
    assert_eq!(ids_and_types(&test_b), [("TestB/Neutrophil/1", "neutrophil")]);
    assert!(open(dir.path(), "raabin-wbc:test-a").unwrap_err().to_string().contains("TestA"));
}

#[test]
fn bccd_and_zheng_attach_masks_and_verification_finds_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for name in ["crops/f_0.bmp", "crop_masks/f_0.png", "crops/f_1.bmp", "crop_masks/f_1.png"] {
        image(root, &format!("bccd/{name}"));
    }
    let rows =
        "crops/f_0.bmp,crop_masks/f_0.png,images/f.jpg,monocyte\ncrops/f_1.bmp,crop_masks/f_1.png,images/f.jpg,\n";
    table(root, "bccd/labels.csv", &format!("crop,crop_mask,image,label\n{rows}"));
    let bccd = open(root, "bccd").unwrap();
    assert_eq!(ids_and_types(&bccd), [("f_0", "monocyte"), ("f_1", "")]);
    assert_eq!(bccd.samples[1].group.as_deref(), Some("f"));

    image(root, "zheng2018/Dataset 2/001.bmp");
    image(root, "zheng2018/Dataset 2/001.png");
    table(root, "zheng2018/Class Labels of Dataset 2.csv", "image ID,class\r\n1,4\r\n");
    assert_eq!(ids_and_types(&open(root, "zheng2018-d2").unwrap()), [("001", "eosinophil")]);

    GrayImage::new(9, 9).save(root.join("bccd/crop_masks/f_1.png")).unwrap();
    std::fs::remove_file(root.join("bccd/crops/f_0.bmp")).unwrap();
    let store = DataStore::new(Some(root.to_owned()));
    let report = verify(&store, "bccd", &NoProgress, &CancelToken::default()).unwrap();
    assert_eq!(report.n_cells, 0);
    let items: Vec<_> = report.failures.iter().map(|f| f.item.as_str()).collect();
    assert_eq!(items, ["bccd/crop_masks", "bccd/crops", "bccd/labels.csv", "f_0", "f_1"]);
    assert!(report.failures[4].cause.contains("expected 6 x 5, found 9 x 9"), "{:?}", report.failures[4]);
}

#[test]
fn synthetic_cells_come_in_splits_and_repeat() {
    let store = DataStore::new(None);
    let test = store.open(&"synthetic:test".parse().unwrap()).unwrap();
    let all = store.open(&"synthetic".parse().unwrap()).unwrap();
    assert!(test.samples.iter().all(|s| s.split.as_deref() == Some("test")));
    assert_eq!(stats(&all).splits["test"], test.samples.len());
    assert_eq!(stats(&all), stats(&store.open(&"synthetic".parse().unwrap()).unwrap()));
}
