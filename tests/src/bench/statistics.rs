//! What several runs say together.

use serde::Serialize;

/// The middle one of some values, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the values are below.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// `None` of no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: low.midpoint(high), least, most })
    }

    /// Of what one is to the other in each round: what slows a round down slows both.
    pub fn of_ratios(ones: &[f64], others: &[f64]) -> Option<Self> {
        Self::of(ones.iter().zip(others).map(|(one, other)| one / other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
        let ratios = Spread::of_ratios(&[10.0, 30.0, 8.0], &[5.0, 10.0, 4.0]).unwrap();
        assert_eq!(ratios, Spread { median: 2.0, least: 2.0, most: 3.0 });
    }
}
