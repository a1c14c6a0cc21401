//! Ratios that stand on a machine which changes its speed: each sample against those of the other server right before
//! and right after it. Knows nothing of servers; reads no clock.

/// Two samples of the base that differ by more than this share of their mean say that the machine changed in between.
const STEADY: f64 = 0.12;

/// What a series of pairs gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// Of ours to the base: the median of the pairs that were kept.
    pub(crate) median: f64,
    /// How far the base, taken against itself in the same way, is from 1: the median. Not known of fewer than three.
    pub(crate) noise: Option<f64>,
    pub(crate) kept: usize,
    pub(crate) pairs: usize,
}

/// The base and ours as they were taken in turn, base first and base last: each of ours stands between two of the base.
/// None where there is no pair at all. Where all were unsteady, all are used, and `kept` is 0.
pub(crate) fn ratio(base: &[f64], ours: &[f64]) -> Option<Ratio> {
    let between: Vec<_> = base.windows(2).zip(ours).map(|(base, &ours)| Pair::new(base[0], ours, base[1])).collect();
    let itself: Vec<_> = base.windows(3).map(|base| Pair::new(base[0], base[1], base[2])).collect();
    let kept = steady(&between);
    let median_of = |pairs: &[Pair]| median(pairs.iter().map(|pair| pair.ratio).collect());
    let noise_of = |pairs: &[Pair]| median(pairs.iter().map(|pair| (pair.ratio - 1.0).abs()).collect());
    let steady_self = steady(&itself);
    Some(Ratio {
        median: median_of(&kept).or_else(|| median_of(&between))?,
        noise: noise_of(&steady_self).or_else(|| noise_of(&itself)),
        kept: kept.len(),
        pairs: between.len(),
    })
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[derive(Clone, Copy)]
struct Pair {
    ratio: f64,
    is_steady: bool,
}

impl Pair {
    fn new(before: f64, it: f64, after: f64) -> Pair {
        let mean = f64::midpoint(before, after);
        Pair { ratio: it / mean, is_steady: (before - after).abs() <= STEADY * mean }
    }
}

fn steady(pairs: &[Pair]) -> Vec<Pair> {
    pairs.iter().copied().filter(|pair| pair.is_steady).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reason for the pairs: a machine that halves its speed in between changes no ratio.
    #[test]
    fn a_change_of_speed_is_thrown_away() {
        let base = [1.0, 1.0, 2.0, 2.0];
        let ours = [0.9, 1.3, 1.8];
        let ratio = ratio(&base, &ours).expect("there are pairs");
        assert!((ratio.median - 0.9).abs() < 1e-9, "{ratio:?}");
        assert_eq!((ratio.kept, ratio.pairs), (2, 3));
    }

    #[test]
    fn noise_is_the_base_against_itself() {
        let ratio = ratio(&[1.0, 1.05, 1.0, 1.05], &[1.0, 1.0, 1.0]).expect("there are pairs");
        assert!(ratio.noise.is_some_and(|noise| (noise - 0.049).abs() < 0.001), "{ratio:?}");
        assert_eq!(super::ratio(&[1.0, 1.0], &[1.0]).and_then(|ratio| ratio.noise), None);
    }

    #[test]
    fn where_nothing_was_steady_all_is_used_and_said_so() {
        let ratio = ratio(&[1.0, 2.0, 1.0], &[1.5, 1.5]).expect("there are pairs");
        assert_eq!((ratio.median, ratio.kept, ratio.pairs), (1.0, 0, 2));
        assert_eq!(super::ratio(&[1.0], &[]), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
