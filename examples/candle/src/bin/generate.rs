//! Greedy generation with a Llama-like model, from an `.occ` file or a folder with safetensors.
//!
//! ```sh
//! occ compress SmolLM2-135M/ -o smollm2.occ --bits 4
//! cargo run --release --manifest-path examples/candle/Cargo.toml --bin generate -- smollm2.occ
//! ```

use anyhow::{Error, Result};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::llama::{Cache, Config, Llama, LlamaConfig};
use clap::Parser;
use occ_candle_examples::{ModelFiles, print_loading};
use std::path::PathBuf;
use std::time::Instant;
use tokenizers::Tokenizer;

/// Continue a text, and compare the tokens with those of another file of the same model.
#[derive(Parser)]
struct Args {
    /// An .occ file, or a folder with model.safetensors, config.json and tokenizer.json
    model: PathBuf,

    /// Another file or folder of the same model
    #[arg(long, value_name = "MODEL")]
    reference: Option<PathBuf>,

    /// The text to continue
    #[arg(long, default_value = "The lighthouse stood at the end of the")]
    prompt: String,

    /// The number of tokens to generate
    #[arg(long, default_value_t = 64)]
    tokens: usize,
}

struct Generator {
    tokenizer: Tokenizer,
    config: Config,
    llama: Llama,
}

impl Generator {
    fn load(files: &ModelFiles) -> Result<Self> {
        let config: LlamaConfig = serde_json::from_slice(&files.file("config.json")?)?;
        let config = config.into_config(false);
        let tokenizer = Tokenizer::from_bytes(files.file("tokenizer.json")?).map_err(Error::msg)?;
        let llama = Llama::load(files.weights(DType::F32, &Device::Cpu)?, &config)?;
        Ok(Self { tokenizer, config, llama })
    }

    fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(text, true).map_err(Error::msg)?.get_ids().to_vec())
    }

    /// The most probable next token after `context`, from position `start` of the text on.
    fn next(&self, context: &[u32], start: usize, cache: &mut Cache) -> Result<u32> {
        let context = Tensor::new(context, &Device::Cpu)?.unsqueeze(0)?;
        let logits = self.llama.forward(&context, start, cache)?.squeeze(0)?;
        Ok(logits.argmax(0)?.to_scalar()?)
    }

    fn cache(&self) -> Result<Cache> {
        Ok(Cache::new(true, DType::F32, &self.config, &Device::Cpu)?)
    }

    fn generate(&self, prompt: &[u32], count: usize) -> Result<Vec<u32>> {
        let (mut cache, mut tokens) = (self.cache()?, prompt.to_vec());
        let mut start = 0;
        for _ in 0..count {
            let next = self.next(&tokens[start..], start, &mut cache)?;
            start = tokens.len();
            tokens.push(next);
        }
        Ok(tokens.split_off(prompt.len()))
    }

    /// How many of `tokens` are the most probable ones after the prompt and the tokens before.
    fn agreement(&self, prompt: &[u32], tokens: &[u32]) -> Result<usize> {
        let (mut cache, mut agree) = (self.cache()?, 0);
        let text = [prompt, tokens].concat();
        let mut start = 0;
        for end in prompt.len()..text.len() {
            let next = self.next(&text[start..end], start, &mut cache)?;
            agree += usize::from(next == text[end]);
            start = end;
        }
        Ok(agree)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let began = Instant::now();
    let files = ModelFiles::open(&args.model)?;
    let generator = Generator::load(&files)?;
    print_loading(&files, began)?;
    let prompt = generator.prompt(&args.prompt)?;
    let tokens = generator.generate(&prompt, args.tokens)?;
    if let Some(reference) = &args.reference {
        let reference = Generator::load(&ModelFiles::open(reference)?)?;
        let expected = reference.generate(&prompt, args.tokens)?;
        let same = tokens.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        let count = expected.len();
        println!("same tokens:      the first {same} of {count}");
        let agree = generator.agreement(&prompt, &expected)?;
        println!("agreement:        {agree} of {count}, each after the reference's tokens");
    }
    let text = generator.tokenizer.decode(&tokens, true).map_err(Error::msg)?;
    println!("{}{text}", args.prompt);
    Ok(())
}
