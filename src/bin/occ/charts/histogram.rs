//! Histograms as outlines over each other, on a logarithmic axis, which shows the tails.

use super::axis::Axis;
use super::chart::Chart;
use super::lines::{LineChart, Series};
use std::ops::Range;

/// Shares of numbers in bins of equal width.
#[derive(Clone, Debug)]
pub struct Bins {
    range: Range<f64>,
    shares: Vec<f64>,
}

impl Bins {
    /// Counts numbers. Those outside of the range count only towards the total.
    pub fn of(numbers: impl IntoIterator<Item = f64>, range: Range<f64>, bins: usize) -> Self {
        let mut counts = vec![0u64; bins];
        let mut total = 0u64;
        let scale = bins as f64 / (range.end - range.start);
        for number in numbers {
            total += 1;
            let bin = (number - range.start) * scale;
            if (0.0..bins as f64).contains(&bin) {
                counts[bin as usize] += 1;
            }
        }
        Self::counted(&counts, total, range)
    }

    /// From counts; `total` includes the numbers outside of the range.
    pub fn counted(counts: &[u64], total: u64, range: Range<f64>) -> Self {
        let share = |&count| count as f64 / total.max(1) as f64;
        Self { range, shares: counts.iter().map(share).collect() }
    }

    /// Expected shares, given the probability of a range.
    pub fn expected(
        probability: impl Fn(Range<f64>) -> f64,
        range: Range<f64>,
        bins: usize,
    ) -> Self {
        let width = (range.end - range.start) / bins as f64;
        let edge = |bin: usize| range.start + bin as f64 * width;
        let shares = (0..bins).map(|bin| probability(edge(bin)..edge(bin + 1))).collect();
        Self { range, shares }
    }

    /// The corners of the outline, with shares below a floor raised to it.
    fn outline(&self, floor: f64) -> Vec<(f64, f64)> {
        let width = (self.range.end - self.range.start) / self.shares.len() as f64;
        let edge = |bin: usize| self.range.start + bin as f64 * width;
        let shares = self.shares.iter().map(|share| share.max(floor)).enumerate();
        shares.flat_map(|(bin, share)| [(edge(bin), share), (edge(bin + 1), share)]).collect()
    }

    /// The share of each bin at its centre.
    fn curve(&self) -> Vec<(f64, f64)> {
        let width = (self.range.end - self.range.start) / self.shares.len() as f64;
        let middle = |bin: usize| self.range.start + (bin as f64 + 0.5) * width;
        self.shares.iter().enumerate().map(|(bin, &share)| (middle(bin), share)).collect()
    }
}

/// Bins with a name and a colour.
pub struct Outline {
    pub name: String,
    pub bins: Bins,
    /// The number of the colour.
    pub colour: usize,
}

/// Several outlines of the same range.
pub struct Histogram {
    pub title: String,
    pub x_label: String,
    pub outlines: Vec<Outline>,
    /// Bins to compare with, drawn as a dashed curve.
    pub reference: Option<(String, Bins)>,
}

impl Histogram {
    pub fn draw(self) -> Chart {
        let all = self.outlines.iter().map(|outline| &outline.bins);
        let x = Axis::linear(self.x_label);
        let x = match all.clone().next() {
            Some(bins) => x.within(bins.range.clone()),
            None => x,
        };
        let shares = all.clone().flat_map(|bins| &bins.shares).copied();
        // Empty bins are at the lower edge.
        let floor = shares.filter(|&share| share > 0.0).fold(1.0, f64::min) / 2.0;
        let all = all.chain(self.reference.iter().map(|(_, bins)| bins));
        let most = all.flat_map(|bins| &bins.shares).fold(0f64, |most, &share| most.max(share));
        let outline = |Outline { name, bins, colour }: Outline| {
            Series::new(name, bins.outline(floor)).coloured(colour)
        };
        let mut series: Vec<Series> = self.outlines.into_iter().map(outline).collect();
        if let Some((name, bins)) = self.reference {
            let shown = bins.curve().into_iter().filter(|point| point.1 > floor).collect();
            series.push(Series::new(name, shown).reference());
        }
        let lines = LineChart {
            title: self.title,
            x,
            y: Axis::log("share of numbers per bin").within(floor..2.0 * most.max(floor)),
            series,
        };
        lines.draw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_relative_to_all_numbers() {
        let bins = Bins::of([0.0, 0.1, 0.9, 1.0, -0.1, f64::NAN, 0.5, 0.4], 0.0..1.0, 2);
        assert_eq!(bins.shares, [3.0 / 8.0, 2.0 / 8.0]);
        assert_eq!(bins.outline(0.3), [(0.0, 0.375), (0.5, 0.375), (0.5, 0.3), (1.0, 0.3)]);
        assert_eq!(Bins::of([], 0.0..1.0, 3).shares, [0.0; 3]);
        assert_eq!(
            Bins::expected(|r| r.end * r.end - r.start * r.start, 0.0..1.0, 2).shares,
            [0.25, 0.75]
        );
    }

    #[test]
    fn histograms_have_outlines_and_a_reference() {
        let bins = Bins::of((0..100).map(f64::from), -10.0..120.0, 13);
        let histogram = Histogram {
            title: "t".into(),
            x_label: "x".into(),
            outlines: vec![
                Outline { name: "a".into(), bins: bins.clone(), colour: 0 },
                Outline { name: "b".into(), bins, colour: 3 },
            ],
            reference: Some((
                "flat".into(),
                Bins::expected(|r| (r.end - r.start) / 100.0, 0.0..100.0, 10),
            )),
        };
        let svg = histogram.draw().inline();
        assert!(
            svg.contains("var(--series-4)") && svg.contains("share of numbers per bin"),
            "{svg}"
        );
    }
}
