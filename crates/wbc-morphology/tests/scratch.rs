//! throwaway
use std::{path::Path, sync::Arc};
struct Instant(f64);
impl Instant { fn now() -> Self { let t = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap(); Self(t.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9) }
fn elapsed(&self) -> std::time::Duration { std::time::Duration::from_secs_f64((Self::now().0 - self.0).max(0.0)) } }
use wbc_core::*;
use wbc_morphology::*;
#[test]
#[ignore]
fn dump() {
    let list = std::fs::read_to_string(std::env::var("LIST").unwrap()).unwrap();
    let out = std::env::var("OUT").unwrap();
    let v = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), CanonicalOptions { side: 128, with_pixels: true, with_measurements: false }).unwrap();
    let m = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), CanonicalOptions { side: 112, with_pixels: false, with_measurements: true }).unwrap();
    let seg = VoteSegmenter::default();
    let (mut td, mut ts, mut tv, mut tm) = (vec![], vec![], vec![], vec![]);
    for (i, p) in list.lines().enumerate() {
        let t = Instant::now();
        let img = read_image(Path::new(p), &Limits::default()).unwrap();
        td.push(t.elapsed().as_secs_f64() * 1e3);
        let t = Instant::now();
        let s = seg.segment(&img);
        ts.push(t.elapsed().as_secs_f64() * 1e3);
        let t = Instant::now();
        let w = v.view_segmented(&img, &s);
        tv.push(t.elapsed().as_secs_f64() * 1e3);
        let t = Instant::now();
        let _ = m.view_segmented(&img, &s);
        tm.push(t.elapsed().as_secs_f64() * 1e3);
        s.masks.to_image().save(format!("{out}/{i:04}_mask.png")).unwrap();
        w.pixels.save(format!("{out}/{i:04}_view.png")).unwrap();
        overlay(&img, &s.masks).save(format!("{out}/{i:04}_over.png")).unwrap();
        println!("FLAGS {i} {p} [{}]", s.flags);
    }
    for (n, t) in [("decode", &mut td), ("segment", &mut ts), ("view", &mut tv), ("measure", &mut tm)] {
        t.sort_by(f64::total_cmp);
        println!("TIME {n} mean {:.2} max {:.2} ms of {}", t.iter().sum::<f64>() / t.len() as f64, t[t.len() - 1], t.len());
    }
}
