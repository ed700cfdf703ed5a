//! What several tests begin with.

use wbc_clip::data::{SyntheticOptions, synthetic_samples};

/// Writes a small manifest of synthetic cells.
pub(crate) fn cells(folder: &std::path::Path) -> String {
    let options = SyntheticOptions { n_train: 24, n_val: 8, n_test: 0, ..SyntheticOptions::default() };
    let schema = wbc_clip::core::AttributeSchema::wbcatt();
    let mut table = String::from("path,id,label,split,cell_size\n");
    for sample in synthetic_samples(&options, &schema) {
        let image = sample.image.load(&Default::default()).unwrap();
        image.save(folder.join(format!("{}.png", sample.id))).unwrap();
        let (id, a) = (&sample.id, &sample.annotation);
        let split = sample.split.as_deref().unwrap();
        let cell_type = a.cell_type.as_ref().unwrap();
        table += &format!("{id}.png,{id},{cell_type},{split},{}\n", a.value(&schema, "cell_size").unwrap());
    }
    let manifest = folder.join("cells.csv");
    std::fs::write(&manifest, table).unwrap();
    manifest.display().to_string()
}
