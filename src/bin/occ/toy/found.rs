//! What this run shows, in words that follow its numbers.

use super::coding::Coded;
use super::experiment::{CaseResult, Experiment, NetworkResult, Weights};
use crate::numbers::grouped;
use std::cmp::Ordering;

/// Paragraphs.
pub fn sentences(experiment: &Experiment) -> Vec<String> {
    let networks: Vec<&NetworkResult> = experiment.networks().collect();
    let mut out: Vec<String> = experiment.cases.iter().map(fit).collect();
    out.push(flattening(&networks));
    out.push(same_quantiser(&networks));
    out.push(equal_error(&networks, "at the least error that quantisers reach in both", least_db));
    out.push(equal_error(&networks, "at −10 dB, where quantisers are coarse", |_| COARSE_DB));
    out.extend(experiment.cases.iter().map(own_coordinates));
    out.push(tails(experiment));
    out.push(claim(experiment, &networks));
    out
}

/// An error that leaves a hundredth of the energy; above it a function is not learnt.
const LEARNT_DB: f64 = -20.0;
/// An error that even coarse quantisers reach.
const COARSE_DB: f64 = -10.0;
/// Changes of less than one part in a hundred are none.
const SAME: f64 = 0.01;
/// The kurtosis of Gaussian numbers.
const GAUSSIAN: f64 = 3.0;

fn fit(case: &CaseResult) -> String {
    let fit = |n: &NetworkResult| (n.plain.coded.exact.error_db, n.network.name());
    let mut fits: Vec<_> = case.networks.iter().map(fit).collect();
    fits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middle = median(fits.iter().map(|fit| fit.0));
    let (best, worst) = (&fits[0], &fits[fits.len() - 1]);
    let verdict = match fits.iter().filter(|fit| fit.0 > LEARNT_DB).count() {
        0 => "All have learnt the function to better than a hundredth of its energy.".to_owned(),
        poor => format!(
            "{poor} of {} leave more than a hundredth of the energy: they have not learnt the \
             function, and what is said of their weights is said of weights that do not work.",
            fits.len()
        ),
    };
    format!(
        "Case {:?}. The networks leave an error of {} on samples held out (median), from {} ({}) \
         to {} ({}). {verdict}",
        case.case,
        db(middle),
        db(best.0),
        best.1,
        db(worst.0),
        worst.1
    )
}

/// How many networks have a smaller measure rotated, and the medians before and after.
fn fall(networks: &[&NetworkResult], of: impl Fn(&Weights) -> f64) -> (usize, f64, f64) {
    let count = networks.iter().filter(|n| of(&n.rotated) < of(&n.plain)).count();
    let before = median(networks.iter().map(|n| of(&n.plain)));
    (count, before, median(networks.iter().map(|n| of(&n.rotated))))
}

fn flattening(networks: &[&NetworkResult]) -> String {
    let (peaks, peak_before, peak_after) = fall(networks, peak);
    let (tails, kurtosis_before, kurtosis_after) = fall(networks, kurtosis);
    let (nearer, ..) = fall(networks, |weights| (kurtosis(weights) - GAUSSIAN).abs());
    let (_, top_before, top_after) = fall(networks, |weights| 100.0 * weights.top_percent);
    let verb = if 2 * peaks > networks.len() { "lowers" } else { "does not lower" };
    format!(
        "Rotation {verb} the peaks of hidden matrices: the largest weight over the root mean \
         square falls in {peaks} of {} networks, in the median from {peak_before:.1} to \
         {peak_after:.1}. Kurtosis falls in {tails}, from {kurtosis_before:.1} to \
         {kurtosis_after:.1}, and comes nearer to the 3 of Gaussian numbers, from above or below, \
         in {nearer}. The largest 1 % of weights hold {top_before:.1} % of the energy before and \
         {top_after:.1} % after.",
        networks.len(),
    )
}

fn same_quantiser(networks: &[&NetworkResult]) -> String {
    let compared = [0, 2, 4].map(|index| {
        let points =
            |n: &&NetworkResult| (n.plain.coded.quantised[index], n.rotated.coded.quantised[index]);
        let pairs: Vec<_> = networks.iter().map(points).collect();
        let gain = median(pairs.iter().map(|(plain, rotated)| plain.error_db - rotated.error_db));
        let bytes = pairs.iter().map(|(plain, rotated)| rotated.bytes as f64 / plain.bytes as f64);
        format!(
            "at {} bits they err by {:.1} dB {} and take {}",
            pairs[0].0.bits,
            gain.abs(),
            if gain >= 0.0 { "less" } else { "more" },
            change(median(bytes))
        )
    });
    format!(
        "With quantisers of as many levels, rotated weights against those as trained: {} \
         (medians). A lower peak makes finer steps; whether those pay only a comparison at equal \
         error tells.",
        compared.join("; ")
    )
}

/// The least error that quantisers reach in both coordinates.
fn least_db(network: &NetworkResult) -> f64 {
    network.plain.coded.least_error_db().max(network.rotated.coded.least_error_db())
}

/// Bytes of rotated weights over those as trained at an error; without networks that do not reach
/// it in both coordinates.
fn ratios(networks: &[&NetworkResult], error_db: impl Fn(&NetworkResult) -> f64) -> Vec<f64> {
    let ratio = |n: &&NetworkResult| {
        let at = error_db(n);
        Some(n.rotated.coded.bytes_at(at)? / n.plain.coded.bytes_at(at)?)
    };
    networks.iter().filter_map(ratio).collect()
}

fn equal_error(
    networks: &[&NetworkResult],
    place: &str,
    error_db: impl Fn(&NetworkResult) -> f64,
) -> String {
    let ratios = ratios(networks, error_db);
    if ratios.is_empty() {
        return format!(
            "At equal error, {place}, nothing can be said of bytes: no network's weights get there \
             in both coordinates."
        );
    }
    let fewer = ratios.iter().filter(|&&ratio| ratio < 1.0 - SAME).count();
    let more = ratios.iter().filter(|&&ratio| ratio > 1.0 + SAME).count();
    let middle = median(ratios.iter().copied());
    let (least, most) = ratios.iter().fold((f64::MAX, 0f64), |(a, b), &r| (a.min(r), b.max(r)));
    format!(
        "At equal error, {place}, rotated weights take {} in the median: fewer in {fewer} and more \
         in {more} of the {} networks that get there; from {} to {} of the bytes as trained.",
        change(middle),
        ratios.len(),
        percent(least),
        percent(most)
    )
}

fn own_coordinates(case: &CaseResult) -> String {
    let networks = || case.networks.iter().flat_map(|n| [&n.plain.coded, &n.rotated.coded]);
    let at = networks().map(Coded::least_error_db).fold(f64::INFINITY, f64::min);
    let (network_bytes, network) =
        cheapest(networks(), at).unwrap_or_else(|| unreachable!("one of them reaches it"));
    let other = |coded: &[Coded], what: &str| {
        let Some((bytes, name)) = cheapest(coded.iter(), at) else {
            return format!("{what} do not get there");
        };
        let (factor, than) = if bytes <= network_bytes {
            (network_bytes / bytes, "fewer")
        } else {
            (bytes / network_bytes, "more")
        };
        let bytes = grouped(bytes.round() as u64);
        format!("{what} take {bytes} bytes ({name}), {factor:.0} times {than}")
    };
    format!(
        "Case {:?}. At {}, the least error of any quantised network, the fewest bytes of one are \
         {} ({network}); {}; {}.",
        case.case,
        db(at),
        grouped(network_bytes.round() as u64),
        other(&case.fourier, "Fourier's coefficients"),
        other(std::slice::from_ref(&case.parameters), "the function's own parameters"),
    )
}

/// The fewest bytes at an error, quantised or not, and what takes them.
fn cheapest<'c>(coded: impl Iterator<Item = &'c Coded>, error_db: f64) -> Option<(f64, String)> {
    let bytes = |coded: &'c Coded| {
        let quantised = coded.bytes_at(error_db).map(|bytes| (bytes, coded.name.clone()));
        let exact = (coded.exact.error_db <= error_db)
            .then(|| (coded.exact.bytes as f64, format!("{} as f32", coded.name)));
        quantised.into_iter().chain(exact)
    };
    coded.flat_map(bytes).min_by(|a, b| a.0.total_cmp(&b.0))
}

fn tails(experiment: &Experiment) -> String {
    let [a, b] = &experiment.cases[..] else { return String::new() };
    let heavier = a.networks.iter().zip(&b.networks);
    let heavier = heavier.filter(|(a, b)| kurtosis(&a.plain) > kurtosis(&b.plain)).count();
    let middle = |case: &CaseResult, of: fn(&Weights) -> f64| {
        median(case.networks.iter().map(|n| of(&n.plain)))
    };
    let count = a.networks.len();
    let verdict = match (2 * heavier).cmp(&count) {
        Ordering::Greater => "more heavy-tailed than",
        Ordering::Less => "less heavy-tailed than",
        Ordering::Equal => "as heavy-tailed as",
    };
    format!(
        "Hidden weights of case A, with its one dominant amplitude, are {verdict} those of case B: of \
         {count} pairs of networks that began alike, case A has the higher kurtosis in {heavier}; \
         medians are {:.1} and {:.1}, of the peak over the root mean square {:.1} and {:.1}. But the \
         cases differ in more than that: energy lies at a mean frequency of {:.1} in case A and of \
         {:.1} in case B, and {}. Another seed may say otherwise.",
        middle(a, kurtosis),
        middle(b, kurtosis),
        middle(a, peak),
        middle(b, peak),
        a.mean_frequency,
        b.mean_frequency,
        match (2 * heavier).cmp(&count) {
            Ordering::Equal => "neither has the heavier tails",
            order if (order == Ordering::Greater) == (a.mean_frequency > b.mean_frequency) => {
                "the case of the higher one has the heavier tails, which may be why"
            }
            _ => "the case of the higher one has the lighter tails",
        },
    )
}

fn claim(experiment: &Experiment, networks: &[&NetworkResult]) -> String {
    format!(
        "“Outliers are artefacts of the axes; rotations flatten; alignment concentrates.” {} {} {}",
        claim_flat(networks),
        claim_concentrated(&experiment.cases),
        claim_cheap(networks)
    )
}

/// Rotation flattens what stands out; it can do nothing for what does not.
fn claim_flat(networks: &[&NetworkResult]) -> String {
    let (heavy, light): (Vec<_>, Vec<_>) =
        networks.iter().copied().partition(|n| kurtosis(&n.plain) > GAUSSIAN);
    let falls = |of: &[&NetworkResult]| (fall(of, peak).0, of.len());
    let ((heavy_falls, heavy_count), (light_falls, light_count)) = (falls(&heavy), falls(&light));
    let verdict = if heavy_count == 0 {
        "This run says nothing of outliers: no hidden matrix has heavier tails than Gaussian \
         numbers"
            .to_owned()
    } else if 2 * heavy_falls > heavy_count {
        format!(
            "This run agrees that rotations flatten where there are outliers: of {heavy_count} \
             hidden matrices with heavier tails than Gaussian numbers, {heavy_falls} have lower \
             peaks afterwards, and their kurtosis goes from {:.1} to {:.1} in the median",
            fall(&heavy, kurtosis).1,
            fall(&heavy, kurtosis).2
        )
    } else {
        format!(
            "This run disagrees that rotations flatten: of {heavy_count} hidden matrices with \
             heavier tails than Gaussian numbers, only {heavy_falls} have lower peaks afterwards"
        )
    };
    if light_count == 0 {
        return verdict + ".";
    }
    format!(
        "{verdict}; of {light_count} with lighter tails, {light_falls} have lower peaks and {} \
         higher ones.",
        light_count - light_falls
    )
}

fn claim_concentrated(cases: &[CaseResult]) -> String {
    let agrees = cases.iter().all(|case| case.fourier_top_percent > case.samples_top_percent);
    let shares = cases.iter().map(|case| {
        format!(
            "{:.1} % against {:.1} % in case {:?}",
            100.0 * case.fourier_top_percent,
            100.0 * case.samples_top_percent,
            case.case
        )
    });
    format!(
        "It {} that alignment concentrates: the largest 1 % of coordinates in Fourier's basis hold \
         {} of the functions' energy than the largest 1 % of samples, {}; but these are sums of \
         sinusoids, and their basis was known beforehand.",
        if agrees { "agrees" } else { "disagrees" },
        if agrees { "more" } else { "not always more" },
        shares.collect::<Vec<_>>().join(" and ")
    )
}

fn claim_cheap(networks: &[&NetworkResult]) -> String {
    let ratios = ratios(networks, least_db);
    let ratio = median(ratios.into_iter());
    if ratio < 1.0 - SAME {
        return format!(
            "And flat is cheap here: rotated weights, entropy-coded, take {} at equal error.",
            change(ratio)
        );
    }
    let entropy = |of: fn(&NetworkResult) -> &Weights| {
        median(networks.iter().map(|n| {
            let coded = &of(n).coded;
            8.0 * coded.quantised[2].entropy_bytes / coded.numbers as f64
        }))
    };
    format!(
        "But flat is not cheaper: rotated weights, entropy-coded, take {} at equal error. At 4 bits \
         their levels hold {:.2} bits each, those as trained {:.2}: what a coder gains from a \
         peaked histogram, rotation takes away.",
        change(ratio),
        entropy(|n| &n.rotated),
        entropy(|n| &n.plain),
    )
}

fn peak(weights: &Weights) -> f64 {
    weights.outliers.peak_to_rms
}

fn kurtosis(weights: &Weights) -> f64 {
    weights.outliers.kurtosis
}

/// `−31.4`.
pub fn decibels(error_db: f64) -> String {
    // No −0.0.
    let rounded = (10.0 * error_db).round() / 10.0 + 0.0;
    format!("{rounded:.1}").replace('-', "−")
}

fn db(error_db: f64) -> String {
    format!("{} dB", decibels(error_db))
}

/// `12 % more bytes`, of a ratio.
fn change(ratio: f64) -> String {
    if (ratio - 1.0).abs() < SAME {
        return "as many bytes (within 1 %)".to_owned();
    }
    let than = if ratio > 1.0 { "more" } else { "fewer" };
    format!("{:.0} % {than} bytes", 100.0 * (ratio - 1.0).abs())
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", 100.0 * ratio)
}

/// The middle of some numbers, or of the two in the middle; 0 of none.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    (at(last / 2) + at(last.div_ceil(2))) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_sign() {
        let words = [1.0, 1.12, 0.5, 1.004].map(change);
        let all = "as many bytes (within 1 %)";
        assert_eq!(words, [all, "12 % more bytes", "50 % fewer bytes", all]);
        assert_eq!([-31.42, -0.04, 7.0].map(db), ["−31.4 dB", "0.0 dB", "7.0 dB"]);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0].into_iter()), 3.0);
    }
}
