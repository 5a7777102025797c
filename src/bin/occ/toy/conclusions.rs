//! The results of a run in sentences.

use super::experiment::{CaseResult, Experiment, NetworkResult, WeightResult};
use super::representation::Representation;
use crate::numbers::{grouped, median};
use std::cmp::Ordering;

/// One paragraph per conclusion.
pub fn sentences(experiment: &Experiment) -> Vec<String> {
    let networks: Vec<&NetworkResult> = experiment.networks().collect();
    let mut out: Vec<String> = experiment.cases.iter().map(fit).collect();
    out.push(outlier_reduction(&networks));
    out.push(same_bits(&networks));
    let smallest = "the smallest error that both reach";
    out.push(equal_error(&networks, smallest, common_error_db));
    out.push(equal_error(&networks, "−10 dB, which coarse quantisers reach", |_| COARSE_DB));
    out.extend(experiment.cases.iter().map(smallest_representation));
    out.push(tails(experiment));
    out.push(flatness(&networks));
    out.push(concentration(&experiment.cases));
    out.push(rate(&networks));
    out
}

/// Error of 1 % of the energy. A network with a larger error has not learned the function.
const LEARNED_DB: f64 = -20.0;
/// An error that coarse quantisers reach.
const COARSE_DB: f64 = -10.0;
/// Smaller relative differences count as none.
const SAME: f64 = 0.01;
/// Kurtosis of Gaussian numbers.
const GAUSSIAN: f64 = 3.0;

fn fit(case: &CaseResult) -> String {
    let fit = |n: &NetworkResult| (n.plain.coded.exact.error_db, n.network.name());
    let mut fits: Vec<_> = case.networks.iter().map(fit).collect();
    fits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middle = median(fits.iter().map(|fit| fit.0));
    let (best, worst) = (&fits[0], &fits[fits.len() - 1]);
    let verdict = match fits.iter().filter(|fit| fit.0 > LEARNED_DB).count() {
        0 => "All errors are below 1 % of the energy of the function.".to_owned(),
        poor => format!(
            "{poor} of {} errors are above 1 % of the energy of the function: these networks have \
             not learned it, and conclusions about their weights are of little value.",
            fits.len()
        ),
    };
    format!(
        "Case {:?}. The median error of the networks on held-out samples is {}, with a range from \
         {} ({}) to {} ({}). {verdict}",
        case.case,
        db(middle),
        db(best.0),
        best.1,
        db(worst.0),
        worst.1
    )
}

/// For how many networks the rotation reduces a measure, and its medians before and after.
fn reduction(networks: &[&NetworkResult], of: impl Fn(&WeightResult) -> f64) -> (usize, f64, f64) {
    let count = networks.iter().filter(|n| of(&n.rotated) < of(&n.plain)).count();
    let before = median(networks.iter().map(|n| of(&n.plain)));
    (count, before, median(networks.iter().map(|n| of(&n.rotated))))
}

fn outlier_reduction(networks: &[&NetworkResult]) -> String {
    let (peaks, peak_before, peak_after) = reduction(networks, peak);
    let (tails, kurtosis_before, kurtosis_after) = reduction(networks, kurtosis);
    let (nearer, ..) = reduction(networks, |weights| (kurtosis(weights) - GAUSSIAN).abs());
    let (_, top_before, top_after) = reduction(networks, |weights| 100.0 * weights.top_percent);
    format!(
        "Effect of the rotation on hidden matrices: the ratio of peak to RMS decreases in {peaks} \
         of {} networks, and its median changes from {peak_before:.1} to {peak_after:.1}. Kurtosis \
         decreases in {tails}, with medians {kurtosis_before:.1} and {kurtosis_after:.1}; it gets \
         closer to 3, the value of Gaussian numbers, in {nearer}. The largest 1 % of the weights \
         hold {top_before:.1} % of the energy before and {top_after:.1} % after the rotation.",
        networks.len(),
    )
}

fn same_bits(networks: &[&NetworkResult]) -> String {
    let compared = [0, 2, 4].map(|index| {
        let points =
            |n: &&NetworkResult| (n.plain.coded.quantised[index], n.rotated.coded.quantised[index]);
        let pairs: Vec<_> = networks.iter().map(points).collect();
        let gain = median(pairs.iter().map(|(plain, rotated)| plain.error_db - rotated.error_db));
        let bytes = pairs.iter().map(|(plain, rotated)| rotated.bytes as f64 / plain.bytes as f64);
        format!(
            "at {} bits the error is {:.1} dB {} with {}",
            pairs[0].0.bits,
            gain.abs(),
            if gain >= 0.0 { "lower" } else { "higher" },
            change(median(bytes))
        )
    });
    format!(
        "Rotated weights compared with weights as trained, at the same number of bits: {} \
         (medians). A lower peak gives a smaller step, which reduces the error but needs more \
         bytes; the following comparisons are at equal error.",
        compared.join("; ")
    )
}

/// The smallest error that quantisers reach in both coordinate systems.
fn common_error_db(network: &NetworkResult) -> f64 {
    network.plain.coded.min_error_db().max(network.rotated.coded.min_error_db())
}

/// Bytes of rotated weights divided by bytes of weights as trained, at an error; only of networks
/// that reach it in both coordinate systems.
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
            "At equal error ({place}), sizes cannot be compared: no network reaches it in both \
             coordinate systems."
        );
    }
    let fewer = ratios.iter().filter(|&&ratio| ratio < 1.0 - SAME).count();
    let more = ratios.iter().filter(|&&ratio| ratio > 1.0 + SAME).count();
    let middle = median(ratios.iter().copied());
    let (least, most) = ratios.iter().fold((f64::MAX, 0f64), |(a, b), &r| (a.min(r), b.max(r)));
    format!(
        "At equal error ({place}), rotated weights need {} in the median: fewer in {fewer} and \
         more in {more} of the {} networks that reach it, with a range from {} to {} of the bytes \
         as trained.",
        change(middle),
        ratios.len(),
        percent(least),
        percent(most)
    )
}

fn smallest_representation(case: &CaseResult) -> String {
    let networks = || case.networks.iter().flat_map(|n| [&n.plain.coded, &n.rotated.coded]);
    let at = networks().map(Representation::min_error_db).fold(f64::INFINITY, f64::min);
    let (network_bytes, network) =
        cheapest(networks(), at).unwrap_or_else(|| unreachable!("one of the networks reaches it"));
    let other = |coded: &[Representation], what: &str| {
        let Some((bytes, name)) = cheapest(coded.iter(), at) else {
            return format!("{what} do not reach it");
        };
        let (factor, than) = if bytes <= network_bytes {
            (network_bytes / bytes, "fewer")
        } else {
            (bytes / network_bytes, "more")
        };
        let bytes = grouped(bytes.round() as u64);
        format!("{what} need {bytes} bytes ({name}), a factor of {factor:.0} {than}")
    };
    format!(
        "Case {:?}. At an error of {}, the smallest of all quantised networks, the smallest network \
         needs {} bytes ({network}); {}; {}.",
        case.case,
        db(at),
        grouped(network_bytes.round() as u64),
        other(&case.fourier, "Fourier coefficients"),
        other(std::slice::from_ref(&case.parameters), "the parameters of the function"),
    )
}

/// The smallest size at an error, quantised or not, and the name of the representation.
fn cheapest<'c>(
    coded: impl Iterator<Item = &'c Representation>,
    error_db: f64,
) -> Option<(f64, String)> {
    let bytes = |coded: &'c Representation| {
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
    let middle = |case: &CaseResult, of: fn(&WeightResult) -> f64| {
        median(case.networks.iter().map(|n| of(&n.plain)))
    };
    let count = a.networks.len();
    let verdict = match (2 * heavier).cmp(&count) {
        Ordering::Greater => "more heavy-tailed than",
        Ordering::Less => "less heavy-tailed than",
        Ordering::Equal => "as heavy-tailed as",
    };
    format!(
        "Hidden matrices of case A, which has one dominant amplitude, are {verdict} those of case B: \
         of {count} pairs of networks with the same initial weights, case A has the higher kurtosis \
         in {heavier}. The medians of kurtosis are {:.1} and {:.1}, those of peak to RMS {:.1} and \
         {:.1}. However, the cases also differ in their mean frequency, weighted by energy, which \
         is {:.1} in case A and {:.1} in case B; {}. Other seeds can give other results.",
        middle(a, kurtosis),
        middle(b, kurtosis),
        middle(a, peak),
        middle(b, peak),
        a.mean_frequency,
        b.mean_frequency,
        match (2 * heavier).cmp(&count) {
            Ordering::Equal => "neither case has heavier tails",
            order if (order == Ordering::Greater) == (a.mean_frequency > b.mean_frequency) => {
                "the case with the higher mean frequency has the heavier tails, which may be the cause"
            }
            _ => "the case with the higher mean frequency has the lighter tails",
        },
    )
}

/// Whether the rotation flattens heavy tails. It cannot flatten light ones.
fn flatness(networks: &[&NetworkResult]) -> String {
    let (heavy, light): (Vec<_>, Vec<_>) =
        networks.iter().copied().partition(|n| kurtosis(&n.plain) > GAUSSIAN);
    let lower_peaks = |of: &[&NetworkResult]| (reduction(of, peak).0, of.len());
    let ((heavy_lower, heavy_count), (light_lower, light_count)) =
        (lower_peaks(&heavy), lower_peaks(&light));
    let hypothesis = "Hypothesis 1, rotations remove outliers";
    let verdict = if heavy_count == 0 {
        format!(
            "{hypothesis}: not tested, because no hidden matrix has heavier tails than Gaussian \
             numbers"
        )
    } else if 2 * heavy_lower > heavy_count {
        format!(
            "{hypothesis}: supported. Of {heavy_count} hidden matrices with heavier tails than \
             Gaussian numbers, {heavy_lower} have lower peaks after the rotation, and their median \
             kurtosis changes from {:.1} to {:.1}",
            reduction(&heavy, kurtosis).1,
            reduction(&heavy, kurtosis).2
        )
    } else {
        format!(
            "{hypothesis}: not supported. Of {heavy_count} hidden matrices with heavier tails than \
             Gaussian numbers, only {heavy_lower} have lower peaks after the rotation"
        )
    };
    if light_count == 0 {
        return verdict + ".";
    }
    format!(
        "{verdict}. Of {light_count} with lighter tails, {light_lower} have lower peaks and {} \
         higher ones.",
        light_count - light_lower
    )
}

fn concentration(cases: &[CaseResult]) -> String {
    let supported = cases.iter().all(|case| case.fourier_top_percent > case.samples_top_percent);
    let shares = cases.iter().map(|case| {
        format!(
            "{:.1} % (samples: {:.1} %) in case {:?}",
            100.0 * case.fourier_top_percent,
            100.0 * case.samples_top_percent,
            case.case
        )
    });
    format!(
        "Hypothesis 2, a suitable basis concentrates the energy: {}. The largest 1 % of Fourier \
         coordinates hold {} of the energy. However, the functions are sums of \
         sinusoids, so the suitable basis was known in advance.",
        if supported { "supported" } else { "not supported" },
        shares.collect::<Vec<_>>().join(" and ")
    )
}

fn rate(networks: &[&NetworkResult]) -> String {
    let hypothesis = "Hypothesis 3, rotated weights need fewer bytes";
    let ratio = median(ratios(networks, common_error_db));
    if ratio < 1.0 - SAME {
        return format!(
            "{hypothesis}: supported. Entropy-coded rotated weights need {} at equal error.",
            change(ratio)
        );
    }
    let entropy = |of: fn(&NetworkResult) -> &WeightResult| {
        median(networks.iter().map(|n| {
            let coded = &of(n).coded;
            8.0 * coded.quantised[2].entropy_bytes / coded.numbers as f64
        }))
    };
    format!(
        "{hypothesis}: not supported. Entropy-coded rotated weights need {} at equal error. With a \
         4-bit quantiser their levels have an entropy of {:.2} bits per weight, those as trained \
         {:.2} bits: the rotation flattens the histogram of levels, which the entropy coder needs \
         more bits for.",
        change(ratio),
        entropy(|n| &n.rotated),
        entropy(|n| &n.plain),
    )
}

fn peak(weights: &WeightResult) -> f64 {
    weights.outliers.peak_to_rms
}

fn kurtosis(weights: &WeightResult) -> f64 {
    weights.outliers.kurtosis
}

/// Decibels, as in `−31.4`.
pub fn decibels(error_db: f64) -> String {
    // Adding 0 turns −0 into 0.
    let rounded = (10.0 * error_db).round() / 10.0 + 0.0;
    format!("{rounded:.1}").replace('-', "−")
}

fn db(error_db: f64) -> String {
    format!("{} dB", decibels(error_db))
}

/// A ratio of bytes, as in `12 % more bytes`.
fn change(ratio: f64) -> String {
    if (ratio - 1.0).abs() < SAME {
        return "the same number of bytes (within 1 %)".to_owned();
    }
    let than = if ratio > 1.0 { "more" } else { "fewer" };
    format!("{:.0} % {than} bytes", 100.0 * (ratio - 1.0).abs())
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", 100.0 * ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wording_depends_on_the_sign() {
        let words = [1.0, 1.12, 0.5, 1.004].map(change);
        let all = "the same number of bytes (within 1 %)";
        assert_eq!(words, [all, "12 % more bytes", "50 % fewer bytes", all]);
        assert_eq!([-31.42, -0.04, 7.0].map(db), ["−31.4 dB", "0.0 dB", "7.0 dB"]);
    }
}
