#include "parquet.h"

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"
#include "json_text.h"
#include "sample_index.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kKept = 4;             ///< groups
constexpr std::int64_t kMostRows = 1 << 26;  ///< of a group
constexpr int kDeepest = 64;

constexpr std::array<std::string_view, 6> kMedia = {"image", "images", "audio", "audios", "video", "videos"};
constexpr std::array<std::string_view, 3> kTexts = {"conversations", "messages", "system"};

bool is_media(std::string_view column) { return std::ranges::find(kMedia, column) != kMedia.end(); }

/// The file as Arrow asks for its bytes.
class File : public arrow::io::RandomAccessFile {
 public:
  explicit File(const DataFile& file) : file_(file) { set_mode(arrow::io::FileMode::READ); }
  arrow::Status Close() override {
    closed_ = true;
    return {};
  }
  bool closed() const override { return closed_; }
  arrow::Result<std::int64_t> Tell() const override { return at_; }
  arrow::Status Seek(std::int64_t at) override {
    at_ = at;
    return {};
  }
  arrow::Result<std::int64_t> GetSize() override { return file_.size(); }
  arrow::Result<std::int64_t> ReadAt(std::int64_t at, std::int64_t n, void* out) override {
    const auto got = file_.read(at, static_cast<char*>(out), static_cast<std::size_t>(n));
    if (!got) return arrow::Status::IOError(got.error().message);
    return static_cast<std::int64_t>(*got);
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(std::int64_t at, std::int64_t n) override {
    // What a broken file asks for shall not be allocated.
    n = std::clamp<std::int64_t>(n, 0, std::max<std::int64_t>(0, file_.size() - at));
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(n));
    ARROW_ASSIGN_OR_RAISE(const std::int64_t got, ReadAt(at, n, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(got));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }
  arrow::Result<std::int64_t> Read(std::int64_t n, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const std::int64_t got, ReadAt(at_, n, out));
    at_ += got;
    return got;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t n) override {
    ARROW_ASSIGN_OR_RAISE(auto got, ReadAt(at_, n));
    at_ += got->size();
    return got;
  }

 private:
  const DataFile& file_;
  std::int64_t at_ = 0;
  bool closed_ = false;
};

/// What cannot be written as JSON ends a row.
struct Unreadable {
  std::string what;
};

/// Writes rows of a table as samples.
class RowWriter {
 public:
  /// `media`: gets the bytes that stand in the row; or they are not looked at.
  explicit RowWriter(std::vector<Conversation::Bytes>* media) : media_(media) {}

  std::string write(const arrow::Table& table, std::int64_t row) {
    out_ = "{";
    for (int c = 0; c < table.num_columns(); ++c) {
      column_ = table.field(c)->name();
      items_ = 0;
      std::int64_t at = row;  // of texts of more than 2 GiB there are several pieces
      int piece = 0;
      while (at >= table.column(c)->chunk(piece)->length()) at -= table.column(c)->chunk(piece++)->length();
      const arrow::Array& values = *table.column(c)->chunk(piece);
      if (values.IsNull(at)) continue;
      key(column_);
      is_media(column_) ? media(values, at, 0) : turns(values, at);
    }
    return std::move(out_) + "}";
  }

 private:
  void key(const std::string& name) {
    if (out_.back() != '{') out_ += ',';
    text(name);
    out_ += ':';
  }

  void text(std::string_view value) {
    if (!is_utf8(value)) throw Unreadable{cat("'", column_, "' is no UTF-8 text")};
    out_ += Json(value).dump();
  }

  /// Turns may be written as JSON within a text.
  void turns(const arrow::Array& values, std::int64_t row) {
    const auto string = string_at(values, row);
    if (string && column_ != "system" && trim(*string).starts_with('[')) {
      out_ += *string;
    } else {
      value(values, row, 0);
    }
  }

  /// A path, bytes with a path or without, or a list of them.
  void media(const arrow::Array& values, std::int64_t row, int depth) {
    if (values.type_id() == arrow::Type::STRUCT)
      return item(dynamic_cast<const arrow::StructArray&>(values), row);
    if (const auto bytes = bytes_at(values, row)) return named({}, bytes);
    if (const auto [items, range] = list_at(values, row); items && depth == 0) {
      out_ += '[';
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        if (i > range.begin) out_ += ',';
        items->IsNull(i) ? void(out_ += "null") : media(*items, i, 1);
      }
      out_ += ']';
      return;
    }
    value(values, row, 0);
  }

  void item(const arrow::StructArray& values, std::int64_t row) {
    std::optional<std::string_view> path, bytes;
    if (const auto paths = values.GetFieldByName("path"); paths && paths->IsValid(row))
      path = string_at(*paths, row);
    if (const auto all = values.GetFieldByName("bytes"); all && all->IsValid(row))
      bytes = bytes_at(*all, row);
    named(path.value_or(""), bytes);
  }

  /// By its path, where that tells it from others of the row.
  void named(std::string_view path, std::optional<std::string_view> bytes) {
    std::string name(path);
    const bool taken = std::ranges::find(names_, name) != names_.end();
    if (name.empty() || taken || name.find("://") != std::string::npos) name = cat(column_, "[", items_, "]");
    ++items_;
    names_.push_back(name);
    text(name);
    if (media_ != nullptr && bytes) media_->push_back({name, std::string(*bytes)});
  }

  static std::optional<std::string_view> string_at(const arrow::Array& values, std::int64_t row) {
    if (values.type_id() == arrow::Type::STRING)
      return dynamic_cast<const arrow::StringArray&>(values).GetView(row);
    if (values.type_id() == arrow::Type::LARGE_STRING)
      return dynamic_cast<const arrow::LargeStringArray&>(values).GetView(row);
    return std::nullopt;
  }

  static std::optional<std::string_view> bytes_at(const arrow::Array& values, std::int64_t row) {
    if (values.type_id() == arrow::Type::BINARY)
      return dynamic_cast<const arrow::BinaryArray&>(values).GetView(row);
    if (values.type_id() == arrow::Type::LARGE_BINARY)
      return dynamic_cast<const arrow::LargeBinaryArray&>(values).GetView(row);
    return std::nullopt;
  }

  static std::pair<std::shared_ptr<arrow::Array>, Range> list_at(const arrow::Array& values,
                                                                 std::int64_t row) {
    const auto of = [&](const auto& list) {
      return std::pair(list.values(), Range{list.value_offset(row), list.value_offset(row + 1)});
    };
    if (values.type_id() == arrow::Type::LIST) return of(dynamic_cast<const arrow::ListArray&>(values));
    if (values.type_id() == arrow::Type::LARGE_LIST)
      return of(dynamic_cast<const arrow::LargeListArray&>(values));
    return {};
  }

  void value(const arrow::Array& values, std::int64_t row, int depth) {
    if (depth > kDeepest)
      throw Unreadable{cat("'", column_, "' is nested deeper than ", kDeepest, " levels")};
    if (values.IsNull(row)) return void(out_ += "null");
    if (const auto string = string_at(values, row)) return text(*string);
    if (const auto [items, range] = list_at(values, row); items) {
      out_ += '[';
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        if (i > range.begin) out_ += ',';
        value(*items, i, depth + 1);
      }
      out_ += ']';
      return;
    }
    if (values.type_id() == arrow::Type::STRUCT)
      return fields(dynamic_cast<const arrow::StructArray&>(values), row, depth);
    if (values.type_id() == arrow::Type::BOOL)
      return void(out_ += dynamic_cast<const arrow::BooleanArray&>(values).Value(row) ? "true" : "false");
    const auto scalar = values.GetScalar(row);
    if (!arrow::is_numeric(values.type_id()) || !scalar.ok())
      throw Unreadable{
          cat("'", column_, "' is of type ", values.type()->ToString(), ", which no sample has")};
    const std::string number = (*scalar)->ToString();
    // What is no number in JSON, either.
    out_ += number.find_first_not_of("0123456789+-.eE") == std::string::npos ? number : "null";
  }

  /// All rows have all of a struct's fields: what a sample does not have is null.
  void fields(const arrow::StructArray& values, std::int64_t row, int depth) {
    out_ += '{';
    for (int f = 0; f < values.num_fields(); ++f) {
      const auto field = values.field(f);
      if (field->IsNull(row)) continue;
      key(values.struct_type()->field(f)->name());
      value(*field, row, depth + 1);
    }
    out_ += '}';
  }

  std::vector<Conversation::Bytes>* media_;
  std::string out_, column_;
  std::size_t items_ = 0;  ///< of the column's row
  std::vector<std::string> names_;
};

/// As Arrow has it since version 24, or before.
template <class Reader>
arrow::Result<std::shared_ptr<arrow::Table>> read_group(Reader& reader, int group,
                                                        const std::vector<int>& leaves) {
  if constexpr (requires { reader.ReadRowGroup(group, leaves).ok(); }) {
    return reader.ReadRowGroup(group, leaves);
  } else {
    std::shared_ptr<arrow::Table> out;
    ARROW_RETURN_NOT_OK(reader.ReadRowGroup(group, leaves, &out));
    return out;
  }
}

}  // namespace

struct ParquetFile::State {
  using Group = std::shared_ptr<arrow::Table>;

  DataFile file;
  std::shared_ptr<parquet::FileMetaData> about = {};
  std::vector<int> texts = {},
                   all = {};  ///< leaves of the columns that are read: without bytes, and with them
  std::mutex mutex = {};
  std::deque<std::pair<std::int64_t, Group>> kept = {};

  Error broken(const std::string& why) const {
    return {ExitCode::bad_data,
            cat("'", file.path().string(), "' is no Parquet file that can be read: ", why),
            {}};
  }

  /// What Arrow throws, it does not always say in its status.
  template <class F>
  auto guarded(F f) const -> Result<decltype(f().ValueOrDie())> {
    try {
      auto out = f();
      if (out.ok()) return std::move(out).ValueOrDie();
      return tl::unexpected(broken(out.status().message()));
    } catch (const Failure&) {
      throw;
    } catch (const std::exception& error) {
      return tl::unexpected(broken(error.what()));
    }
  }

  arrow::Result<Group> load(std::int64_t group, const std::vector<int>& leaves) const {
    parquet::arrow::FileReaderBuilder builder;
    ARROW_RETURN_NOT_OK(
        builder.Open(std::make_shared<File>(file), parquet::default_reader_properties(), about));
    ARROW_ASSIGN_OR_RAISE(const auto reader, builder.Build());
    ARROW_ASSIGN_OR_RAISE(const Group out, read_group(*reader, static_cast<int>(group), leaves));
    ARROW_RETURN_NOT_OK(out->Validate());
    return out->CombineChunks();
  }

  /// With its media.
  Result<Group> whole(std::int64_t group) {
    {
      const std::lock_guard lock(mutex);
      for (const auto& [number, each] : kept)
        if (number == group) return each;
    }
    auto out = guarded([&] { return load(group, all); });
    if (!out) return out;
    const std::lock_guard lock(mutex);
    kept.emplace_back(group, *out);
    if (kept.size() > kKept) kept.pop_front();
    return out;
  }
};

bool reads_parquet() { return true; }

Result<ParquetFile> ParquetFile::open(const DataFile& file) {
  auto own = DataFile::open(file.path());
  if (!own) return tl::unexpected(own.error());
  if (own->size() != file.size() || own->modified() != file.modified())
    return fail(ExitCode::bad_data, cat("'", file.path().string(), "' was changed while it was opened"));
  auto state = std::make_shared<State>(std::move(*own));
  auto about = state->guarded([&]() -> arrow::Result<std::shared_ptr<parquet::FileMetaData>> {
    return parquet::ReadMetaData(std::make_shared<File>(file));
  });
  if (!about) return tl::unexpected(about.error());
  state->about = std::move(*about);
  const parquet::SchemaDescriptor& schema = *state->about->schema();
  std::vector<std::string> names, told;  // columns, and those of which something but bytes is there
  for (int leaf = 0; leaf < schema.num_columns(); ++leaf) {
    const std::string root = schema.GetColumnRoot(leaf)->name();
    if (names.empty() || names.back() != root) names.push_back(root);
    const bool text = std::ranges::find(kTexts, root) != kTexts.end();
    if (!text && !is_media(root)) continue;
    state->all.push_back(leaf);
    if (schema.Column(leaf)->name() == "bytes" && !text) continue;
    state->texts.push_back(leaf);
    told.push_back(root);
  }
  for (const int leaf : state->all)
    if (std::ranges::find(told, schema.GetColumnRoot(leaf)->name()) == told.end())
      state->texts.push_back(leaf);
  std::ranges::sort(state->texts);
  const auto has = [&](const char* name) { return std::ranges::find(names, name) != names.end(); };
  if (!has("conversations") && !has("messages"))
    return fail(ExitCode::bad_data,
                cat("'", file.path().string(), "' has no column 'conversations' or 'messages': it has ",
                    join(names, ", ")),
                "rename the one with the turns");
  for (int group = 0; group < state->about->num_row_groups(); ++group)
    if (state->about->RowGroup(group)->num_rows() > kMostRows)
      return tl::unexpected(state->broken(cat("a group of more than ", kMostRows, " rows")));
  return ParquetFile(std::move(state));
}

std::int64_t ParquetFile::groups() const { return state_->about->num_row_groups(); }

Result<std::vector<std::string>> ParquetFile::samples(std::int64_t group) const {
  const auto table = state_->guarded([&] { return state_->load(group, state_->texts); });
  if (!table) return tl::unexpected(table.error());
  std::vector<std::string> out;
  for (std::int64_t row = 0; row < (*table)->num_rows(); ++row) {
    try {
      out.push_back(RowWriter(nullptr).write(**table, row));
    } catch (const Unreadable&) {
      out.emplace_back();  // bad, as read() says
    }
  }
  return out;
}

Result<Conversation> ParquetFile::read(std::int64_t group, std::int64_t row) const {
  if (group < 0 || group >= groups()) return fail(ExitCode::bad_data, "no row of the file");
  const auto table = state_->whole(group);
  if (!table) return tl::unexpected(table.error());
  if (row < 0 || row >= (*table)->num_rows()) return fail(ExitCode::bad_data, "no row of the file");
  std::vector<Conversation::Bytes> media;
  try {
    auto out = read_conversation(RowWriter(&media).write(**table, row));
    if (out) out->bytes = std::move(media);
    return out;
  } catch (const Unreadable& problem) {
    return fail(ExitCode::bad_data, problem.what);
  }
}

}  // namespace cornstarch::dataio
