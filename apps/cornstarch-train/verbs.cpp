#include "verbs.h"

namespace cornstarch::app {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {
      {"train", "Train the model that a config describes (also without the word 'train')",
       "  cornstarch-train --config configs/demo.yaml\n"
       "  mpirun -n 5 cornstarch-train --config run.yaml --set steps=500 --set optimizer.lr=3e-4\n"
       "  cornstarch-train train --config run.yaml --local-ranks 27    # every rank a thread, no MPI\n"
       "  cornstarch-train train --config run.yaml --layout single --overwrite\n",
       declare_train},
      {"validate", "Say everything that is wrong with a config, without training",
       "  cornstarch-train validate --config run.yaml\n"
       "  cornstarch-train validate --config run.yaml --world-size 54\n"
       "  cornstarch-train validate --config run.yaml --format json | jq .diagnostics\n",
       declare_validate},
      {"data", "Look at a config's data before training: counts, histograms, a sample as the model sees it",
       "  cornstarch-train data inspect --config run.yaml\n"
       "  cornstarch-train data inspect --config run.yaml --sample 3\n"
       "  cornstarch-train data inspect --config run.yaml --limit 100000 --html data.html\n",
       declare_data},
      {"plan", "Show which rank would hold what",
       "  cornstarch-train plan --config run.yaml --world-size 54\n"
       "  cornstarch-train plan --config run.yaml --world-size 54 --gpus-per-node 4\n"
       "  cornstarch-train plan --config run.yaml --world-size 54 --format json | jq .ranks\n",
       declare_plan},
      {"modules", "List the names that a stage list may use",
       "  cornstarch-train modules --config run.yaml\n"
       "  cornstarch-train modules --family llama --hf-config path/to/config.json\n"
       "  cornstarch-train modules --list\n",
       declare_modules},
      {"checkpoint", "List, check, show or export what a run saved",
       "  cornstarch-train checkpoint list runs/demo\n"
       "  cornstarch-train checkpoint verify runs/demo/checkpoints/step-00000200\n"
       "  cornstarch-train checkpoint export runs/demo --to model    # of the newest\n"
       "  cornstarch-train checkpoint export runs/lora --to model --merge\n",
       declare_checkpoint},
      {"init", "Write a config for encoders and a language model of yours, from flags or answers",
       "  cornstarch-train init    # asks\n"
       "  cornstarch-train init --llm vicuna-7b-v1.5 --vision clip-vit-large-patch14-336 --gpus 8 --data "
       "chat.json\n",
       declare_init},
      {"import", "Write a config that trains a whole checkpoint, such as LLaVA's",
       "  cornstarch-train import --hf llava-1.5-7b-hf --out first --data llava_instruct.json --media-root "
       "coco\n"
       "  cornstarch-train validate --config first/run.yaml\n",
       declare_import},
      {"export", "Write a trained run as a whole checkpoint, like the one that it began with",
       "  cornstarch-train export --run runs/llava-1.5-7b-hf --out llava-tuned    # transformers loads it\n",
       declare_export},
      {"generate", "Ask a model, and read its answer as it comes",
       "  cornstarch-train generate --model runs/demo --image seven.png --prompt 'Which digit is this?'\n"
       "  cornstarch-train generate --model runs/demo --temperature 0.7 --top-p 0.9 --seed 3    # a "
       "conversation\n"
       "  cornstarch-train generate --model runs/demo --questions eval.jsonl --out answers.jsonl\n",
       declare_generate},
      {"report", "Show runs in one page for a browser: curves, times, memory, answers",
       "  cornstarch-train report runs/demo    # runs/demo/report.html\n"
       "  cornstarch-train report runs/a runs/b --out compared.html\n",
       declare_report},
      {"env", "Show what this program sees: launcher, host, GPUs, libraries",
       "  cornstarch-train env\n"
       "  srun -n 8 cornstarch-train env\n",
       declare_env},
      {"selftest", "Try every link between the ranks, and how fast it is",
       "  cornstarch-train selftest --local-ranks 4\n"
       "  mpirun -n 8 cornstarch-train selftest\n"
       "  srun -n 16 cornstarch-train selftest --device cuda --size 67108864\n",
       declare_selftest},
      {"schema", "Print the JSON Schema of the config, for editors, or its reference",
       "  cornstarch-train schema > cornstarch.schema.json\n"
       "  # then, as a config's first line:  # yaml-language-server: $schema=cornstarch.schema.json\n"
       "  cornstarch-train schema --markdown > docs/config.md\n",
       declare_schema},
      {"completion", "Print a script that completes this program's command line",
       "  source <(cornstarch-train completion bash)\n"
       "  cornstarch-train completion bash > ~/.local/share/bash-completion/completions/cornstarch-train\n",
       declare_completion},
  };
  return all;
}

}  // namespace cornstarch::app
