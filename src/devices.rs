use crate::{compiled_devices, device};
use burn::tensor::{DType, Device, Distribution, Tensor};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use wbc_core::Warning;
use wbc_encoders::{ImageEncoder, ImageInput, ImageTowerConfig, MeasurementInput, Mode};
use wbc_morphology::MeasurementSet;

/// Every backend that a build can hold, by its feature.
const BACKENDS: [&str; 5] = ["flex", "ndarray", "libtorch", "cuda", "wgpu"];
const DTYPES: [(&str, DType); 4] =
    [("f32", DType::F32), ("f16", DType::F16), ("bf16", DType::BF16), ("f64", DType::F64)];
/// Side of the square matrices and cells per batch of the probe.
const SIDE: usize = 512;
const BATCH: usize = 16;
const EMBED_DIM: usize = 128;
const SEED: u64 = 7;

/// One backend of those that a build can hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DeviceReport {
    /// Name for `--device` and [`device`].
    pub name: String,
    /// Compiled into this build.
    pub compiled: bool,
    /// Can be used here.
    pub present: bool,
    /// Types of numbers that it calculates with.
    pub dtypes: Vec<&'static str>,
    /// How fast it is, where that was asked for.
    pub speed: Option<Speed>,
    /// Why it cannot be used, or what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What a short look says about speed, on whatever else the machine does meanwhile; benchmarks say more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Product of two 512 × 512 matrices in f32, in 10⁹ operations per second, a multiply-add being two.
    pub matmul_gflops: f64,
    /// Cells per second through the default image tower (pixels and measurements) in batches of 16, without training.
    pub cells_per_sec: f64,
}

/// All backends, those that are compiled in tried out: present or not, types, and with `probe` a look of that length at
/// their speed. A backend that fails is reported, not an error.
pub fn device_reports(probe: Option<Duration>) -> Vec<DeviceReport> {
    let compiled = compiled_devices();
    let report = |name: &str| {
        let mut report =
            DeviceReport { name: name.into(), compiled: compiled.contains(&name), ..DeviceReport::default() };
        if !report.compiled {
            report.cause = Some(format!("build with `--features {name}`"));
            return report;
        }
        // Drivers that are not there make some backends panic.
        match catch_unwind(AssertUnwindSafe(|| tried(name, probe))) {
            Ok(Ok((dtypes, speed))) => (report.present, report.dtypes, report.speed) = (true, dtypes, speed),
            Ok(Err(cause)) => report.cause = Some(cause),
            Err(_) => report.cause = Some("the backend failed when it was used".into()),
        }
        report
    };
    BACKENDS.into_iter().map(report).collect()
}

/// Backends that are compiled in and cannot be used.
pub fn device_failures(reports: &[DeviceReport]) -> Vec<Warning> {
    let failed = reports.iter().filter(|r| r.compiled && !r.present);
    failed.map(|r| Warning { item: r.name.clone(), cause: r.cause.clone().unwrap_or_default() }).collect()
}

type Tried = (Vec<&'static str>, Option<Speed>);

fn tried(name: &str, probe: Option<Duration>) -> Result<Tried, String> {
    let device = device(name).map_err(|e| e.to_string())?;
    let one = Tensor::<1>::from_floats([1.0], &device).add_scalar(1.0).into_data();
    if one.try_to_vec::<f32>().map_err(|e| e.to_string())? != [2.0] {
        return Err("it adds wrongly".into());
    }
    let dtypes = DTYPES.into_iter().filter(|(_, dtype)| device.supports_dtype(*dtype)).map(|(name, _)| name).collect();
    let speed = probe.map(|whole| {
        let half = whole / 2;
        Ok::<_, String>(Speed { matmul_gflops: matmul(&device, half)?, cells_per_sec: tower(&device, half)? })
    });
    Ok((dtypes, speed.transpose()?))
}

/// Repetitions per second of `step`, after one that does not count.
fn rate(device: &Device, time: Duration, mut step: impl FnMut()) -> Result<f64, String> {
    let mut once = || {
        step();
        device.sync().map_err(|e| e.to_string())
    };
    once()?;
    let begun = Instant::now();
    let mut n = 0_u32;
    loop {
        once()?;
        n += 1;
        let elapsed = begun.elapsed();
        if elapsed >= time {
            return Ok(f64::from(n) / elapsed.as_secs_f64());
        }
    }
}

fn matmul(device: &Device, time: Duration) -> Result<f64, String> {
    let matrix = || Tensor::<2>::random([SIDE, SIDE], Distribution::Default, device);
    let (a, b) = (matrix(), matrix());
    let operations = 2.0 * (SIDE as f64).powi(3);
    let rate = rate(device, time, || drop(a.clone().matmul(b.clone())))?;
    Ok(rate * operations / 1e9)
}

fn tower(device: &Device, time: Duration) -> Result<f64, String> {
    let n_measurements = MeasurementSet::for_models().schema().len();
    let tower = ImageTowerConfig::both(n_measurements).init(EMBED_DIM, SEED, device).map_err(|e| e.to_string())?;
    let side = 112;
    let input = ImageInput {
        features: None,
        pixels: Some(Tensor::random([BATCH, 3, side, side], Distribution::Default, device)),
        measurements: Some(MeasurementInput::complete(Tensor::random(
            [BATCH, n_measurements],
            Distribution::Default,
            device,
        ))),
    };
    let rate = rate(device, time, || drop(tower.forward(input.clone(), &mut Mode::Eval).pooled))?;
    Ok(rate * BATCH as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compiled_backend_is_tried_and_the_others_say_how_to_get_them() {
        let reports = device_reports(Some(Duration::from_millis(20)));
        assert_eq!(reports.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), BACKENDS);
        for report in &reports {
            assert_eq!(report.compiled, compiled_devices().contains(&report.name.as_str()));
            assert!(report.compiled || report.cause.as_ref().is_some_and(|c| c.contains("--features")), "{report:?}");
            assert_eq!(report.present, report.speed.is_some(), "{report:?}");
        }
        let flex = &reports[0];
        assert!(flex.present && flex.dtypes.contains(&"f32"), "{flex:?}");
        assert!(flex.speed.is_some_and(|s| s.matmul_gflops > 0.0 && s.cells_per_sec > 0.0), "{flex:?}");
        assert!(device_failures(&reports).is_empty());
    }
}
