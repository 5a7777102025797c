//! Whether a sample shows a direction that a low-rank part may remove.

/// The part of a worthwhile share from which a low-rank part is searched for. That of noise in the
/// sample does not count.
pub(super) const SCREENING: f64 = 0.8;

/// The share of the leading direction in a sample from which a low-rank part is searched for: below
/// that of a worthwhile one, but above that of noise, where a sample tells them apart.
pub(super) fn screened_share(worthwhile: f64, columns: f64, rows: f64, sampled: f64) -> f64 {
    let worthwhile = share_in_sample(worthwhile, columns, rows, sampled);
    // The largest share of noise (Geman, 1980).
    let noise = (1.0 + (columns / sampled).sqrt()).powi(2) / columns;
    match worthwhile > noise {
        true => noise + SCREENING * (worthwhile - noise),
        false => SCREENING * worthwhile,
    }
}

/// The share of the leading direction in a sample of rows, for its share in all rows, with noise in
/// all other directions (Baik and Silverstein, 2006; Paul, 2007): in a sample, the noise along it is
/// larger.
fn share_in_sample(share: f64, columns: f64, rows: f64, sampled: f64) -> f64 {
    if sampled >= rows {
        return share;
    }
    // Variances are relative to the mean of all directions; `spike` is that of the distribution.
    let observed = share * columns;
    let (all, few) = (columns / rows, columns / sampled);
    let half = 0.5 * (observed + 1.0 - all);
    let edge = 1.0 + all.sqrt();
    let spike = (half + (half * half - observed).max(0.0).sqrt()).max(edge);
    spike * (1.0 + few / (spike - 1.0)) / columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::transform::LeadingDirection;
    use crate::gaussian::gaussian_noise;

    /// A sample of 256 rows suffices for square matrices.
    #[test]
    fn noise_in_a_sample_is_not_searched() {
        let noise: Vec<f32> = gaussian_noise(5).take(256 * 4096).collect();
        let found = LeadingDirection::of(&noise, 4096).share;
        // Of a direction whose numbers take 4.5 bits each.
        let share_of =
            |rows: f64| 4.5 * 2.0 * std::f64::consts::LN_2 * (rows + 4096.0) / (rows * 4096.0);
        for rows in [4096.0, 11008.0] {
            let screened = screened_share(share_of(rows), 4096.0, rows, 256.0);
            let worthwhile = share_in_sample(share_of(rows), 4096.0, rows, 256.0);
            assert!(found < screened && screened < worthwhile, "{found} {screened} {worthwhile}");
        }
    }
}
