// The half of cornstarch-train that links LibTorch. `cornstarch-train train` checks and resolves the config,
// then becomes this program (same process id):
//
//   cornstarch-worker --config-fd N [--said-fd N] [--local-ranks N] [--overwrite] [--trace FIRST LAST]
//   cornstarch-worker --config-fd N --export CHECKPOINT FOLDER [--merge]
//   cornstarch-worker --generate --config-fd N [--prompt TEXT] [--system TEXT] [--image FILE]... [--audio
//   FILE]...
//                     [--questions FILE [--media-root FOLDER] [--out FILE]] [--max-tokens N]
//                     [--temperature T] [--top-p P] [--seed N]
//   cornstarch-worker --selftest [--device cpu|cuda] [--local-ranks N] [--size BYTES] [--deadline SECONDS]
//                     [--format text|json]

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "cornstarch/train/ask.h"
#include "cornstarch/train/run.h"
#include "version.h"

namespace {

std::string read_descriptor(int descriptor) {
  std::string text;
  char chunk[4096];
  lseek(descriptor, 0, SEEK_SET);
  for (ssize_t n = 0; (n = read(descriptor, chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
  close(descriptor);
  return text;
}

int self_test(int argc, char** argv) {
  cornstarch::train::SelftestOptions options;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--device") options.cuda = value == "cuda";
    if (flag == "--format") options.json = value == "json";
    if (flag == "--local-ranks") options.local_ranks = std::atoi(value.c_str());
    if (flag == "--size") options.bytes = std::atoi(value.c_str());
    if (flag == "--deadline") options.deadline_seconds = std::atoi(value.c_str());
  }
  return cornstarch::train::self_test(options);
}

int ask(int argc, char** argv) {
  cornstarch::train::AskOptions options;
  std::string config;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--config-fd") config = read_descriptor(std::atoi(value.c_str()));
    if (flag == "--prompt") options.prompt = value;
    if (flag == "--system") options.system = value;
    if (flag == "--image") options.images.push_back(value);
    if (flag == "--audio") options.audios.push_back(value);
    if (flag == "--questions") options.questions = value;
    if (flag == "--media-root") options.media_root = value;
    if (flag == "--out") options.out = value;
    if (flag == "--max-tokens") options.max_tokens = std::atoi(value.c_str());
    if (flag == "--temperature") options.sampling.temperature = std::strtod(value.c_str(), nullptr);
    if (flag == "--top-p") options.sampling.top_p = std::strtod(value.c_str(), nullptr);
    if (flag == "--seed") options.sampling.seed = std::strtoull(value.c_str(), nullptr, 10);
  }
  return cornstarch::train::ask(config, options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--selftest") return self_test(argc, argv);
  if (argc > 1 && std::string(argv[1]) == "--generate") return ask(argc, argv);
  cornstarch::train::RunOptions options;
  cornstarch::train::ExportOptions exported;
  int descriptor = -1;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--overwrite") options.overwrite = true;
    if (flag == "--merge") exported.merge = true;
    if (i + 1 < argc && flag == "--config-fd") descriptor = std::atoi(argv[++i]);
    if (i + 1 < argc && flag == "--said-fd") options.said = read_descriptor(std::atoi(argv[++i]));
    if (i + 1 < argc && flag == "--local-ranks") options.local_ranks = std::atoi(argv[++i]);
    if (i + 2 < argc && flag == "--trace") {
      options.traced_steps = {std::atoi(argv[i + 1]) - 1, std::atoi(argv[i + 2])};
      i += 2;
    }
    if (i + 2 < argc && flag == "--export") {
      exported.from = argv[i + 1];
      exported.to = argv[i + 2];
      i += 2;
    }
  }
  if (descriptor < 0) {
    std::fputs("cornstarch-worker is started by cornstarch-train; run that instead\n", stderr);
    return static_cast<int>(cornstarch::ExitCode::usage);
  }
  if (!exported.from.empty()) return cornstarch::train::export_model(exported);
  options.versions = cornstarch::app::versions();
  return cornstarch::train::run(read_descriptor(descriptor), options);
}
