use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A random stream that depends only on the given numbers, the same on every platform.
///
/// Give each purpose and position its own stream, for example `seeded_rng(&[seed, epoch, step])`, so that nothing
/// depends on the order of work.
pub fn seeded_rng(path: &[u64]) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    for part in path {
        hasher.update(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_differ_by_path_and_repeat() {
        let draw = |p: &[u64]| seeded_rng(p).random::<u64>();
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
        assert_ne!(draw(&[1]), draw(&[1, 0]));
    }
}
