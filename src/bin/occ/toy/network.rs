//! A multilayer perceptron with two hidden layers, and its gradient.

use super::matrix::{multiply, transposed};
use fastrand::Rng;
use serde::Serialize;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    Relu,
    Tanh,
}

pub const ACTIVATIONS: [Activation; 2] = [Activation::Relu, Activation::Tanh];

/// A network with one input and one output.
#[derive(Clone, Debug)]
pub struct Network {
    pub width: usize,
    pub activation: Activation,
    /// All parameters, layer by layer.
    pub parameters: Vec<f32>,
}

/// Positions of a layer's parameters: weights as outputs × inputs, then biases.
#[derive(Clone, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// A matrix or vector of parameters.
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

const LAYERS: usize = 3;

/// The inputs of each layer, and the output of the last one, for a batch.
pub struct ForwardPass([Vec<f32>; LAYERS + 1]);

impl ForwardPass {
    pub fn output(&self) -> &[f32] {
        &self.0[LAYERS]
    }
}

impl Network {
    /// An untrained network. Weights are uniform, with the variance that preserves the variance of
    /// signals (Glorot and Bengio, 2010; He et al., 2015). The biases of the first layer distribute
    /// the zeros of its units over all inputs, −1 to 1.
    pub fn new(width: usize, activation: Activation, seed: u64) -> Self {
        let mut network = Self { width, activation, parameters: Vec::new() };
        let layers = network.layers();
        network.parameters = vec![0.0; layers[LAYERS - 1].bias.end];
        let mut random = Rng::with_seed(seed);
        let mut uniform = || 2.0 * random.f32() - 1.0;
        for (number, layer) in layers.iter().enumerate() {
            let gain = match (number, activation) {
                (0, Activation::Tanh) => FIRST_LAYER_GAIN,
                (0, Activation::Relu) => 1.0,
                (_, Activation::Relu) => 2f32.sqrt(),
                (_, Activation::Tanh) => 1.0,
            };
            let bound = gain * (3.0 / layer.inputs as f32).sqrt();
            for weight in layer.weight.clone() {
                network.parameters[weight] = bound * uniform();
            }
        }
        for (weight, bias) in layers[0].weight.clone().zip(layers[0].bias.clone()) {
            network.parameters[bias] = -network.parameters[weight] * uniform();
        }
        network
    }

    /// `relu 64`.
    pub fn name(&self) -> String {
        format!("{:?} {}", self.activation, self.width).to_lowercase()
    }

    fn layers(&self) -> [Layer; LAYERS] {
        let mut start = 0;
        [(1, self.width), (self.width, self.width), (self.width, 1)].map(|(inputs, outputs)| {
            let weight = start..start + inputs * outputs;
            let bias = weight.end..weight.end + outputs;
            start = bias.end;
            Layer { inputs, outputs, weight, bias }
        })
    }

    /// Matrices and vectors in order.
    pub fn parameter_list(&self) -> Vec<Parameter> {
        let both = |(number, layer): (usize, Layer)| {
            let parameter = |name: &str, shape: Vec<usize>, range| Parameter {
                name: format!("{number}.{name}"),
                shape,
                range,
            };
            [
                parameter("weight", vec![layer.outputs, layer.inputs], layer.weight),
                parameter("bias", vec![layer.outputs], layer.bias),
            ]
        };
        self.layers().into_iter().enumerate().flat_map(both).collect()
    }

    /// Computes the output for each input.
    pub fn forward(&self, inputs: &[f32]) -> ForwardPass {
        let mut pass = [inputs.to_vec(), Vec::new(), Vec::new(), Vec::new()];
        for (number, layer) in self.layers().into_iter().enumerate() {
            let weight = transposed(&self.parameters[layer.weight], layer.inputs);
            let mut out = vec![0.0; inputs.len() * layer.outputs];
            multiply(&pass[number], &weight, &mut out, layer.inputs, layer.outputs);
            for row in out.chunks_exact_mut(layer.outputs) {
                for (x, bias) in row.iter_mut().zip(&self.parameters[layer.bias.clone()]) {
                    *x += bias;
                }
            }
            if number + 1 < LAYERS {
                self.activate(&mut out);
            }
            pass[number + 1] = out;
        }
        ForwardPass(pass)
    }

    /// The gradient of a loss with respect to the parameters, given its gradient with respect to the
    /// outputs (Rumelhart et al., 1986).
    pub fn backward(&self, pass: &ForwardPass, to_output: Vec<f32>) -> Vec<f32> {
        let mut gradient = vec![0.0; self.parameters.len()];
        let mut delta = to_output;
        for (number, layer) in self.layers().into_iter().enumerate().rev() {
            let inputs = &pass.0[number];
            let batch = delta.len() / layer.outputs;
            let columns = transposed(&delta, layer.outputs);
            multiply(&columns, inputs, &mut gradient[layer.weight.clone()], batch, layer.inputs);
            for (bias, column) in gradient[layer.bias].iter_mut().zip(columns.chunks_exact(batch)) {
                *bias = column.iter().sum();
            }
            if number > 0 {
                let mut before = vec![0.0; inputs.len()];
                let weight = &self.parameters[layer.weight];
                multiply(&delta, weight, &mut before, layer.outputs, layer.inputs);
                for (delta, &activation) in before.iter_mut().zip(inputs) {
                    *delta *= self.slope(activation);
                }
                delta = before;
            }
        }
        gradient
    }

    fn activate(&self, numbers: &mut [f32]) {
        match self.activation {
            Activation::Relu => numbers.iter_mut().for_each(|x| *x = x.max(0.0)),
            Activation::Tanh => numbers.iter_mut().for_each(|x| *x = x.tanh()),
        }
    }

    /// The derivative of the activation function, given its value.
    fn slope(&self, activation: f32) -> f32 {
        match self.activation {
            Activation::Relu if activation > 0.0 => 1.0,
            Activation::Relu => 0.0,
            Activation::Tanh => 1.0 - activation * activation,
        }
    }
}

/// Factor of the initial weights of the first layer of tanh networks. Without it they learn only the
/// lowest frequencies in the given number of steps.
const FIRST_LAYER_GAIN: f32 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean square error.
    fn loss(network: &Network, inputs: &[f32], targets: &[f32]) -> f64 {
        let pass = network.forward(inputs);
        let square = |(x, y): (&f32, &f32)| f64::from(x - y).powi(2);
        pass.output().iter().zip(targets).map(square).sum::<f64>() / inputs.len() as f64
    }

    #[test]
    fn the_gradient_matches_finite_differences() {
        let inputs: Vec<f32> = (0..20).map(|i| i as f32 / 10.0 - 1.0).collect();
        let targets: Vec<f32> = inputs.iter().map(|x| (5.0 * x).sin()).collect();
        for activation in ACTIVATIONS {
            let network = Network::new(8, activation, 7);
            let pass = network.forward(&inputs);
            let errors = pass.output().iter().zip(&targets).map(|(x, y)| x - y);
            let to_output = errors.map(|error| 2.0 * error / inputs.len() as f32).collect();
            let gradient = network.backward(&pass, to_output);
            let size = gradient.iter().fold(0f32, |size, g| size.max(g.abs()));
            let mut checked = 0;
            for (at, &derivative) in gradient.iter().enumerate() {
                let moved = [1e-3, -1e-3].map(|by| {
                    let mut moved = network.clone();
                    moved.parameters[at] += by;
                    moved
                });
                // No derivative exists where a unit changes between active and inactive.
                let changes = |moved: &Network| active(&moved.forward(&inputs)) != active(&pass);
                if activation == Activation::Relu && moved.iter().any(changes) {
                    continue;
                }
                let [more, less] = moved.map(|moved| loss(&moved, &inputs, &targets));
                let error = ((more - less) / 2e-3 - f64::from(derivative)).abs();
                assert!(
                    error < 5e-3 * f64::from(size),
                    "{activation:?} {at}: {derivative}, {error}"
                );
                checked += 1;
            }
            assert!(checked > gradient.len() * 3 / 4, "{checked} of {}", gradient.len());
        }
    }

    /// Which hidden units are active.
    fn active(pass: &ForwardPass) -> Vec<bool> {
        pass.0[1..LAYERS].iter().flatten().map(|&x| x > 0.0).collect()
    }

    #[test]
    fn parameters_are_contiguous_and_named() {
        let network = Network::new(16, Activation::Relu, 1);
        let mut end = 0;
        for parameter in network.parameter_list() {
            assert_eq!(parameter.range.start, end);
            assert_eq!(parameter.range.len(), parameter.shape.iter().product::<usize>());
            end = parameter.range.end;
        }
        assert_eq!((end, network.parameters.len()), (321, 321));
        assert_eq!(network.parameter_list()[2].name, "1.weight");
    }
}
