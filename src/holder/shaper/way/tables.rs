//! The shapes of a delay as netem takes them: 4096 values of an inverse distribution function, in units of a standard
//! deviation times 8192, four deviations wide at most, since a value has 16 bits.

use std::sync::LazyLock;

pub const SCALE: i64 = 8192;
const SIZE: usize = 4096;

pub type Table = [i16; SIZE];

pub static NORMAL: LazyLock<Box<Table>> = LazyLock::new(normal);
pub static PARETO: LazyLock<Box<Table>> = LazyLock::new(pareto);

/// By adding up the density until it reaches each entry's share.
fn normal() -> Box<Table> {
    const STEP: f64 = 1e-4;
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (mut x, mut below) = (-6.0, 0.0);
    table(|share| {
        while below < share {
            below += density(x + STEP / 2.0) * STEP;
            x += STEP;
        }
        x
    })
}

/// With the exponent 3, whose mean is 1.5; the factor is iproute2's (netem/pareto.c), whose table is the one that
/// everybody has.
fn pareto() -> Box<Table> {
    table(|share| ((1.0 - share).powf(-1.0 / 3.0) - 1.5) * 4.0 / 3.0)
}

fn table(mut quantile: impl FnMut(f64) -> f64) -> Box<Table> {
    let mut table = Box::new([0; SIZE]);
    for (index, value) in table.iter_mut().enumerate() {
        let share = (index as f64 + 0.5) / SIZE as f64;
        // A float that is too great becomes the greatest number.
        *value = (quantile(share) * SCALE as f64).round() as i16;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(table: &Table) -> (f64, f64) {
        let values: Vec<f64> = table.iter().map(|value| f64::from(*value) / SCALE as f64).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn the_normal_table_has_the_quantiles_of_the_books() {
        let (mean, deviation) = moments(&NORMAL);
        assert!(mean.abs() < 0.001 && (deviation - 1.0).abs() < 0.005, "{mean} {deviation}");
        for (share, quantile) in [(0.5, 0.0), (0.8413, 1.0), (0.9772, 2.0), (0.025, -1.96), (0.99, 2.3263)] {
            let value = f64::from(NORMAL[(share * 4096.0) as usize]) / SCALE as f64;
            assert!((value - quantile).abs() < 0.01, "{share}: {value}");
        }
    }

    #[test]
    fn the_pareto_table_starts_at_its_least_value_and_has_a_long_tail() {
        let (mean, deviation) = moments(&PARETO);
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((0.7..1.0).contains(&deviation), "cut at four deviations: {deviation}");
        let at = |share: f64| f64::from(PARETO[(share * 4096.0) as usize]) / SCALE as f64;
        assert!((at(0.0) + 2.0 / 3.0).abs() < 0.001);
        assert!((at(0.875) - (2.0 - 1.5) * 4.0 / 3.0).abs() < 0.01);
        assert_eq!(PARETO[4095], i16::MAX);
    }
}
