use wbc_core::{CellMasks, Limits, read_image};
#[test]
fn dump() {
    struct T(u64);
    fn cpu() -> u64 { std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap() }
    impl T { fn elapsed(&self) -> std::time::Duration { std::time::Duration::from_nanos(cpu() - self.0) } }

    let r: serde_json::Value = serde_json::from_str(&std::fs::read_to_string("/tmp/mw/ref.json").unwrap()).unwrap();
    let s = wbc_morphology::measurement_schema();
    let mut t = std::time::Duration::ZERO;
    let mut n = 0;
    let mut out = serde_json::Map::new();
    for (k, v) in r.as_object().unwrap() {
        let image = read_image(std::path::Path::new(v["path"].as_str().unwrap()), &Limits::default()).unwrap();
        let m = read_image(std::path::Path::new(&format!("/tmp/mw/masks/{k}.png")), &Limits::default()).unwrap();
        let g = wbc_core::image::GrayImage::from_fn(m.width(), m.height(), |x, y| wbc_core::image::Luma([m.get_pixel(x, y)[0]]));
        let masks = CellMasks::from_image(&g);
        let t0 = T(cpu());
        let row = wbc_morphology::measure(&image, &masks);
        t += t0.elapsed();
        n += 1;
        out.insert(k.clone(), serde_json::json!(row));
    }
    let names: Vec<&str> = s.names().collect();
    std::fs::write("/tmp/mw/rust.json", serde_json::json!({"names": names, "rows": out}).to_string()).unwrap();
    println!("ms per image {}", t.as_secs_f64() * 1e3 / n as f64);
    let masksets: Vec<_> = r.as_object().unwrap().iter().map(|(k, v)| {
        let image = read_image(std::path::Path::new(v["path"].as_str().unwrap()), &Limits::default()).unwrap();
        let m = read_image(std::path::Path::new(&format!("/tmp/mw/masks/{k}.png")), &Limits::default()).unwrap();
        let g = wbc_core::image::GrayImage::from_fn(m.width(), m.height(), |x, y| wbc_core::image::Luma([m.get_pixel(x, y)[0]]));
        (image, CellMasks::from_image(&g))
    }).collect();
    let best = (0..3).map(|_| { let t0 = T(cpu()); for (i, m) in &masksets { std::hint::black_box(wbc_morphology::CellContext::new(i, m)); } t0.elapsed() }).min().unwrap();
    println!("context {:.3} ms", best.as_secs_f64() * 1e3 / n as f64);
    let ctx: Vec<_> = masksets.iter().map(|(i, m)| wbc_morphology::CellContext::new(i, m).unwrap()).collect();
    for g in wbc_morphology::builtin_groups() {
        let best = (0..3).map(|_| { let t0 = T(cpu()); for c in &ctx { let mut o = vec![]; g.measure(c, &mut o); std::hint::black_box(o); } t0.elapsed() }).min().unwrap();
        println!("{} {:.3} ms", g.name(), best.as_secs_f64() * 1e3 / n as f64);
    }
}
