use super::rows::Lanes;
use super::*;
use crate::codec::quantizer::{ROWS, SearchInput, ViterbiSearch};
use faer::Mat;
use proptest::prelude::*;

fn costs() -> CostTables {
    CostTables::new(40, [0.7, 0.5].map(|slope| move |n: i32| 1.0 + n as f32 * slope), 0.4)
}

/// A positive definite matrix with correlated columns.
fn moment(n: usize, correlation: f64) -> Mat<f64> {
    Mat::from_fn(n, n, |i, j| {
        let scale = |i: usize| 1.0 + 0.5 * (i as f64 * 1.7).sin();
        correlation.powi(i.abs_diff(j) as i32) * scale(i) * scale(j)
    })
}

fn values(seed: u32, columns: usize) -> Vec<Lanes<f32>> {
    let noise = |i: u32| (i.wrapping_mul(2_654_435_761) ^ seed) as f32 / 4e8 - 5.0;
    (0..columns as u32).map(|c| std::array::from_fn(|row| noise(c * 16 + row as u32 * 7))).collect()
}

/// Row classes alternate between two tables.
fn group(values: Vec<Lanes<f32>>, costs: &CostTables) -> RowGroup {
    let starts = std::array::from_fn(|row| costs.start(row % 2));
    RowGroup::new(values, vec![starts], ROWS)
}

fn search(
    feedback: &Feedback,
    trellis: Trellis,
    kernel: Kernel,
    values: &[Lanes<f32>],
) -> RowGroup {
    let costs = costs();
    let mut groups = [group(values.to_vec(), &costs)];
    FeedbackSearch::new(feedback, trellis, kernel).run(&mut groups, &costs, &[]);
    let [group] = groups;
    group
}

/// The points that [`search`] would find without feedback.
fn points_without_feedback(trellis: Trellis, values: &[Lanes<f32>]) -> Vec<Lanes<i16>> {
    let costs = costs();
    let starts = [std::array::from_fn(|row| costs.start(row % 2))];
    let input = SearchInput { values, costs: &costs, starts: &starts, classes: &[] };
    let mut points = vec![[0; ROWS]; values.len()];
    ViterbiSearch::new(trellis, Kernel::best()).run(&input, &mut points);
    points
}

/// The weighted squared error of a row of errors, normalised as in the search, by the matrix.
fn loss(moment: &Mat<f64>, feedback: &Feedback, errors: &[f64]) -> f64 {
    let n = errors.len();
    let sum: f64 = (0..n)
        .flat_map(|i| (0..n).map(move |j| (i, j)))
        .map(|(i, j)| errors[i] * moment[(i, j)] * errors[j])
        .sum();
    sum / feedback.mean_weight()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The cost that the search minimises is the loss `e H eᵀ` of its points plus λ times bits.
    #[test]
    fn costs_are_those_of_the_outputs(
        seed in any::<u32>(),
        columns in prop::sample::select(vec![1usize, 3, 64, 65, 150]),
        states_log2 in prop::sample::select(vec![0u32, 2, 3, 5, 8]),
    ) {
        let (moment, trellis) = (moment(columns, 0.9), Trellis::new(states_log2).unwrap());
        let feedback = Feedback::new(moment.clone()).unwrap();
        let (values, costs) = (values(seed, columns), costs());
        let group = search(&feedback, trellis, Kernel::best(), &values);
        let mut expected = 0.0;
        for row in 0..ROWS {
            let mut state = 0;
            let mut errors = Vec::new();
            for (values, points) in values.iter().zip(&group.points) {
                let point = i32::from(points[row]);
                let k = trellis.index(point);
                prop_assert_eq!(trellis.point(state, k), point);
                state = trellis.next(state, k);
                errors.push(f64::from(values[row]) - f64::from(point));
                expected += f64::from(costs.of(costs.start(row % 2), point));
            }
            expected += loss(&moment, &feedback, &errors);
        }
        prop_assert!((group.cost / expected - 1.0).abs() < 1e-4, "{} {expected}", group.cost);
    }

    /// Several groups, classes and cost tables, separate weights, ties, large values, a group with
    /// fewer rows, and all numbers of states.
    #[test]
    fn all_kernels_find_the_same_points(
        seed in any::<u32>(),
        columns in prop::sample::select(vec![1usize, 63, 64, 65, 130, 200]),
        states_log2 in prop::sample::select(vec![0u32, 2, 3, 4, 5, 6, 8]),
        scale in prop::sample::select(vec![0.3f32, 1.0, 7.0, 400.0, 7000.0]),
        length in 1usize..60,
        (correlation, round) in (prop::sample::select(vec![0.0, 0.8, 0.97]), any::<bool>()),
    ) {
        let trellis = Trellis::new(states_log2).unwrap();
        let feedback = Feedback::new(moment(columns, correlation)).unwrap();
        let slopes = [0.7, 0.5, 0.0];
        let costs =
            CostTables::new(length, slopes.map(|slope| move |n: i32| 1.0 + n as f32 * slope), 0.4);
        let table = |group: usize, class: usize, row: usize| (group + 2 * class + row / 3) % 3;
        let groups = || -> Vec<RowGroup> {
            let group = |group: usize| {
                let value = |x: f32| if round { (x * scale).round() } else { x * scale };
                let mut values = values(seed.wrapping_add(group as u32), columns);
                values.iter_mut().for_each(|rows| *rows = rows.map(value));
                for at in (0..columns).step_by(7) {
                    values[at][(at + group) % ROWS] = f32::NAN;
                    values[at][(at + group + 5) % ROWS] = -0.0;
                }
                values[columns / 2][group] = 33_000.0;
                let starts = |class| std::array::from_fn(|row| costs.start(table(group, class, row)));
                RowGroup::new(values, (0..3).map(starts).collect(), ROWS - 5 * group)
            };
            (0..3).map(group).collect()
        };
        // Missing classes are 0.
        let classes: Vec<u8> = (0..columns - columns / 4).map(|column| (column % 3) as u8).collect();
        let search = |kernel| {
            let mut groups = groups();
            let search = FeedbackSearch::new(&feedback, trellis, kernel);
            search.run(&mut groups, &costs, &classes);
            groups
        };
        let portable = search(Kernel::Scalar);
        for kernel in Kernel::all() {
            for (found, portable) in search(kernel).iter().zip(&portable) {
                prop_assert_eq!(&found.points, &portable.points);
                prop_assert_eq!(&found.outliers, &portable.outliers);
                prop_assert_eq!(found.cost.to_bits(), portable.cost.to_bits());
            }
        }
    }
}

#[test]
fn feedback_reduces_the_loss() {
    let columns = 200;
    let (moment, trellis) = (moment(columns, 0.95), Trellis::new(3).unwrap());
    let feedback = Feedback::new(moment.clone()).unwrap();
    let identity = Feedback::new(Mat::identity(columns, columns)).unwrap();
    let values = values(7, columns);
    let loss_of = |group: &RowGroup| -> f64 {
        let row = |row: usize| -> Vec<f64> {
            let errors = values.iter().zip(&group.points);
            errors.map(|(values, points)| f64::from(values[row]) - f64::from(points[row])).collect()
        };
        (0..ROWS).map(|number| loss(&moment, &feedback, &row(number))).sum()
    };
    let with = loss_of(&search(&feedback, trellis, Kernel::best(), &values));
    let without = loss_of(&search(&identity, trellis, Kernel::best(), &values));
    assert!(with < 0.5 * without, "{with} {without}");
}

#[test]
fn without_correlation_the_search_is_that_without_feedback() {
    // Nothing is decided before the last column.
    let (columns, trellis) = (32, Trellis::new(3).unwrap());
    let feedback = Feedback::new(Mat::identity(columns, columns)).unwrap();
    let values = values(3, columns);
    let group = search(&feedback, trellis, Kernel::best(), &values);
    assert_eq!(group.points, points_without_feedback(trellis, &values));
}

#[test]
fn separate_weights_have_no_error() {
    let trellis = Trellis::new(3).unwrap();
    let moment = moment(80, 0.9);
    let feedback = Feedback::new(moment.clone()).unwrap();
    let mut values = values(5, 80);
    values[10][3] = f32::NAN;
    values[70][4] = 1e9;
    let group = search(&feedback, trellis, Kernel::best(), &values);
    assert_eq!(group.outliers, [(70, 4)]);
    let (costs, mut expected) = (costs(), 0.0);
    for row in 0..ROWS {
        let mut errors = Vec::new();
        for (column, (values, points)) in values.iter().zip(&group.points).enumerate() {
            let is_separate = [(10, 3), (70, 4)].contains(&(column, row));
            let error = if is_separate { 0.0 } else { values[row] - f32::from(points[row]) };
            assert!(error.abs() < 40.0);
            errors.push(f64::from(error));
            expected += f64::from(costs.of(costs.start(row % 2), points[row].into()));
        }
        expected += loss(&moment, &feedback, &errors);
    }
    assert!((group.cost / expected - 1.0).abs() < 1e-4, "{} {expected}", group.cost);
}

/// Survivors that disagree on earlier columns are dropped, which costs little.
#[test]
fn decisions_before_the_end_cost_little() {
    for (states_log2, most) in [(2, 1.008), (3, 1.012), (5, 1.008), (8, 1.01)] {
        let (columns, trellis, costs) = (600, Trellis::new(states_log2).unwrap(), costs());
        let feedback = Feedback::new(Mat::identity(columns, columns)).unwrap();
        let values = values(11, columns);
        let group = search(&feedback, trellis, Kernel::best(), &values);
        let points = points_without_feedback(trellis, &values);
        let mut least = 0.0;
        for (values, points) in values.iter().zip(&points) {
            for (row, (&value, &point)) in values.iter().zip(points).enumerate() {
                least += f64::from((value - f32::from(point)).powi(2));
                least += f64::from(costs.of(costs.start(row % 2), point.into()));
            }
        }
        let ratio = group.cost / least;
        assert!((0.99999..most).contains(&ratio), "{states_log2}: {ratio}");
    }
}
