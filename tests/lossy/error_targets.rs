//! Lossy coding of special and extreme values, and with arbitrary plans.

use crate::common::lossy::planned;
use crate::common::{Random, Sample, assert_valid, f32_sample, small_chunks};
use occ::{
    BlockTransform, ColumnScales, Coordinates, Dtype, Encoding, Error, FileSection, Plan, Reader,
    RowScales, StreamReader, TensorPlan, TensorSource, WriteOptions, Writer,
};
use proptest::prelude::*;

fn values(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Noise of standard deviation 1, plus a mean row of similar magnitude.
fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Random(seed);
    (0..count).map(|i| 50.0 * random.weight() + (i % 64 % 3) as f32).collect()
}

fn plan(sample: &Sample, encoding: &Encoding) -> TensorPlan {
    Plan::of(&sample.source(), encoding).unwrap()
}

/// A file with this tensor, if the plan is accepted. The file is valid.
fn coded(sample: &Sample, plan: &TensorPlan, options: WriteOptions) -> Result<Vec<u8>, Error> {
    let file = planned(sample, plan, options)?;
    assert_valid(&file);
    Ok(file)
}

fn decoded(file: &[u8]) -> Vec<u8> {
    Reader::new(file).unwrap().tensor("w").unwrap().decode().unwrap()
}

fn is_lossy(file: &[u8]) -> bool {
    Reader::new(file).unwrap().tensor("w").unwrap().coding().unwrap().is_some()
}

/// Encodings of every kind of coordinates at this signal-to-noise ratio.
fn encodings(snr: f64) -> Vec<Encoding> {
    let plain = |coordinates| Encoding::snr(snr).max_rank(0).coordinates(coordinates);
    vec![
        Encoding::snr(snr),
        plain(Coordinates::Identity),
        plain(Coordinates::Hadamard),
        plain(Coordinates::Klt),
        plain(Coordinates::Hadamard).row_scales(true).effort(1),
        Encoding::snr(snr).coordinates(Coordinates::Hadamard),
    ]
}

/// NaNs with any payload, infinities and outliers are restored bit for bit, and errors of other
/// elements in their rows stay small.
#[test]
fn special_values_are_restored_and_do_not_affect_others() {
    let specials = [
        0x7f80_0001u32, // a signalling NaN
        0xffc1_2345,
        0x7f80_0000,
        0xff80_0000,
        0x7149_f2ca, // 1e30
        0xff7f_ffff, // the largest finite value
    ];
    let plain = normal(1, 70 * 64);
    for encoding in encodings(20.0) {
        let mut original = plain.clone();
        let at = |i: usize| (i * 641 + 13) % original.len();
        let places: Vec<usize> = (0..24).map(at).collect();
        for (place, special) in places.iter().zip(specials.iter().cycle()) {
            original[*place] = f32::from_bits(*special);
        }
        let sample = f32_sample("w", &[70, 64], &original);
        let file = coded(&sample, &plan(&sample, &encoding), small_chunks(1)).unwrap();
        assert!(is_lossy(&file), "a few special values do not prevent lossy coding");
        let back = values(&decoded(&file));
        let (mut signal, mut noise, mut worst) = (0.0, 0.0, 0.0f64);
        for (i, (a, b)) in original.iter().zip(&back).enumerate() {
            if places.contains(&i) {
                assert_eq!(a.to_bits(), b.to_bits(), "{a}");
                continue;
            }
            let (a, b) = (f64::from(*a), f64::from(*b));
            assert!(b.is_finite());
            signal += a * a;
            noise += (a - b) * (a - b);
            worst = worst.max((a - b).abs());
        }
        let snr = 10.0 * (signal / noise).log10();
        assert!(snr > 18.0 && worst < 1.0, "{encoding:?}: {snr} dB, {worst}");
    }
}

/// A single outlier is too rare for low bits to pay off. It is coded as the largest lattice point.
#[test]
fn a_single_outlier_is_restored() {
    for outlier in [1e30, -1e30, f32::MAX, 1e20] {
        let mut original = normal(8, 4096);
        original[1234] = outlier;
        let sample = f32_sample("w", &[64, 64], &original);
        for encoding in encodings(20.0) {
            for effort in [1, 4] {
                let mut plan = plan(&sample, &encoding.clone().effort(effort));
                let lossy = plan.lossy.as_mut().unwrap();
                // A bound relative to the energy of the outlier would not limit other errors.
                (lossy.step, lossy.max_noise) = (0.25, None);
                let back = values(&decoded(&coded(&sample, &plan, small_chunks(1)).unwrap()));
                for (a, b) in original.iter().zip(&back) {
                    assert!((a - b).abs() <= 1e-6 * a.abs() + 2.0, "{encoding:?}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn subnormals_and_negative_zeros_keep_the_error_bound() {
    let tiny: Vec<f32> = normal(2, 4096).iter().map(|x| x * 1e-42).collect();
    assert!(tiny.iter().any(|x| x.is_subnormal()));
    let zeros = vec![-0.0; 4096];
    let mut mixed = normal(3, 4096);
    mixed.iter_mut().step_by(3).for_each(|x| *x = -0.0);
    mixed.iter_mut().step_by(5).for_each(|x| *x *= 1e-43);
    for values in [tiny, zeros, mixed] {
        let sample = f32_sample("w", &[64, 64], &values);
        for encoding in encodings(15.0) {
            let file = coded(&sample, &plan(&sample, &encoding), small_chunks(1)).unwrap();
            let back = self::values(&decoded(&file));
            let sums = values.iter().zip(&back).fold((0.0, 0.0), |(signal, noise), (a, b)| {
                let (a, b) = (f64::from(*a), f64::from(*b));
                (signal + a * a, noise + (a - b) * (a - b))
            });
            assert!(sums.1 <= sums.0 * 10f64.powf(-1.5), "{encoding:?}: {sums:?}");
            assert!(back.iter().all(|x| x.is_finite()));
        }
    }
}

/// All magnitudes in the range of F32, also of the mean and the low-rank part.
#[test]
fn any_magnitude_is_coded() {
    for exponent in (-44..=38).step_by(4) {
        let scale = 10f64.powi(exponent);
        let values: Vec<f32> =
            normal(4, 4096).iter().map(|&x| (f64::from(x) * scale) as f32).collect();
        let sample = f32_sample("w", &[64, 64], &values);
        for snr in [8.0, 30.0, 70.0] {
            for encoding in encodings(snr) {
                let plan = plan(&sample, &encoding);
                let file = coded(&sample, &plan, small_chunks(1));
                let file = file.unwrap_or_else(|error| panic!("1e{exponent}: {error} {plan:?}"));
                let ordinary = (-20..=10).contains(&exponent) && snr < 50.0;
                assert!(!ordinary || is_lossy(&file), "1e{exponent}, {encoding:?}");
            }
        }
    }
}

/// Plans may come from files. With any plan, the file is valid or the plan is rejected.
#[test]
fn arbitrary_plans_give_valid_files_or_errors() {
    let sample = f32_sample("w", &[64, 64], &normal(5, 4096));
    let plan = plan(&sample, &Encoding::lossless().bits_for("*", 3.0));
    let text = |plan: &TensorPlan| {
        let mut whole = Plan::default();
        whole.tensors.insert("w".into(), plan.clone());
        whole.to_json()
    };
    assert_eq!(Plan::from_json(&text(&plan)).unwrap().get("w"), Some(&plan));
    let mut rejected = 0;
    let mut check = |change: &dyn Fn(&mut occ::LossyPlan)| {
        let mut plan = plan.clone();
        change(plan.lossy.as_mut().unwrap());
        match coded(&sample, &plan, small_chunks(1)) {
            Ok(file) => assert_eq!(decoded(&file).len(), sample.bytes.len()),
            Err(Error::InvalidArgument { .. }) => rejected += 1,
            Err(error) => panic!("{error}: {plan:?}"),
        }
    };
    for step in
        [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-45, 1e-38, 1e-25, 1e15, 9e17, 1e19, f32::MAX]
    {
        check(&|plan| plan.step = step);
        for max_noise in [0.0, 1e-300, 1e-6, 1e300, f64::NAN, -1.0] {
            check(&|plan| (plan.step, plan.max_noise) = (step, Some(max_noise)));
        }
    }
    for block in [0, 1, 2, 63, 64, 65, 2048, 2049, usize::MAX] {
        check(&|plan| plan.transform = BlockTransform::klt(block));
    }
    for block in [0, 1, 2, 3, 64, 128, 192, 256, 512, 1 << 31, 1 << 63, usize::MAX] {
        for signed in [false, true] {
            check(&|plan| plan.transform = BlockTransform::hadamard(block, signed));
        }
    }
    for rank in [0, 1, 16, 64, 65, 128, 129, usize::MAX] {
        for mean in [false, true] {
            check(&|plan| {
                (plan.rank, plan.mean, plan.row_scales, plan.column_scales) =
                    (rank, mean, RowScales::Rms, ColumnScales::Rms);
            });
        }
    }
    for effort in [0, 10, 255] {
        check(&|plan| plan.effort = effort);
    }
    for gain in [f64::NAN, f64::INFINITY, -1e300] {
        check(&|plan| plan.gain = gain);
    }
    assert!(rejected > 10, "{rejected}");
}

/// A mean and low-rank part so large or so small that their scale is out of range.
#[test]
fn means_and_low_rank_parts_of_any_magnitude_are_coded() {
    let ordinary = f32_sample("w", &[64, 64], &normal(7, 4096));
    let mut plan = plan(&ordinary, &Encoding::lossless().bits_for("*", 3.0));
    let lossy = plan.lossy.as_mut().unwrap();
    (lossy.mean, lossy.rank) = (true, 3);
    let mut lossy_files = 0;
    for exponent in (-44..=38).step_by(2) {
        let scaled = |&x: &f32| (f64::from(x) * 10f64.powi(exponent)) as f32;
        let values: Vec<f32> = normal(7, 4096).iter().map(scaled).collect();
        let sample = f32_sample("w", &[64, 64], &values);
        let file = coded(&sample, &plan, small_chunks(1));
        let file = file.unwrap_or_else(|error| panic!("1e{exponent}: {error}"));
        lossy_files += usize::from(is_lossy(&file));
    }
    assert!(lossy_files > 10, "{lossy_files}");
}

#[test]
fn sources_on_disk_and_in_memory_give_the_same_file() {
    let sample = f32_sample("w", &[300, 64], &normal(6, 300 * 64));
    let mut disk = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut disk, &[&[0; 7], sample.bytes.as_slice()].concat()).unwrap();
    let section = FileSection::new(disk, 7..7 + sample.bytes.len() as u64);
    let source = TensorSource::new("w", Dtype::F32, &[300, 64], &section);
    for encoding in encodings(17.0) {
        let plan = plan(&sample, &encoding);
        assert_eq!(Plan::of(&source, &encoding).unwrap(), plan);
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, small_chunks(3000)).unwrap();
        writer.add_planned(&source, &plan).unwrap();
        writer.finish().unwrap();
        assert!(file == coded(&sample, &plan, small_chunks(3000)).unwrap());
    }
}

fn coordinates() -> impl Strategy<Value = Option<Coordinates>> {
    prop::sample::select(vec![
        None,
        Some(Coordinates::Identity),
        Some(Coordinates::Hadamard),
        Some(Coordinates::Klt),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_equal_slices_of_the_tensor(
        (outer, middle, columns) in (1usize..300, 1usize..6, 8usize..100),
        seed in any::<u64>(),
        coordinates in coordinates(),
        chunk_elements in prop_oneof![Just(1u64), 1u64..9000, Just(1 << 18)],
        ranges in prop::collection::vec(
            any::<(prop::sample::Index, prop::sample::Index)>(), 1..8),
    ) {
        let outer = outer.max(4096usize.div_ceil(middle * columns));
        let values = normal(seed, outer * middle * columns);
        let sample = f32_sample("w", &[outer, middle, columns], &values);
        let plan = plan(&sample, &Encoding::snr(14.0).effort(2).coordinates(coordinates));
        let file = coded(&sample, &plan, small_chunks(chunk_elements)).unwrap();
        let whole = decoded(&file);
        let streamed = StreamReader::new(file.as_slice()).unwrap().tensors().next();
        prop_assert!(streamed.unwrap().unwrap().bytes == whole);
        let reader = Reader::new(&file).unwrap();
        let tensor = reader.tensor("w").unwrap();
        let row = 4 * middle * columns;
        for (a, b) in ranges {
            let (a, b) = (a.index(outer + 1), b.index(outer + 1));
            let rows = a.min(b)..a.max(b);
            let expected = &whole[rows.start * row..rows.end * row];
            prop_assert!(tensor.decode_rows(rows.clone()).unwrap() == expected);
            let mut out = vec![0xff; expected.len()];
            tensor.decode_rows_into(rows, &mut out).unwrap();
            prop_assert!(out == expected);
        }
    }
}
