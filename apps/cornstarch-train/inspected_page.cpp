#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"
#include "cornstarch/report/page.h"
#include "inspected.h"

namespace cornstarch::app {
namespace {

using dataio::Spread;

constexpr int kBars = 24;

constexpr const char* kStyle = R"(
h1, p { overflow-wrap: anywhere; }
.bars rect { fill: var(--compute); }
.bars text { font-size: 10.5px; }
.row { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; font: 13px/2 ui-monospace, Menlo, Consolas, monospace; }
.row span { padding: 2px 1px; border-radius: 3px; box-shadow: inset 0 0 0 1px var(--faint); }
.row .learnt { background: color-mix(in srgb, var(--right) 22%, transparent); box-shadow: inset 0 0 0 1px var(--right); }
.row .features { background: var(--grid); padding: 2px 6px; color: var(--soft); }
.item img { display: block; max-width: 100%; width: 16rem; image-rendering: pixelated; border-radius: 4px; }
.item.sound img { width: 100%; height: 9rem; object-fit: fill; }
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : lossy_utf8(text)) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string base64(const std::string& bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += k <= n ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

/// A histogram: bars with their counts on hovering, and as a table below.
std::string figure(const NamedSpread& named) {
  std::string out =
      cat("<figure><figcaption><b>", escaped(named.name), "</b><span></span><span class=\"unit small\">",
          escaped(named.unit), "</span></figcaption><p class=\"small\">", escaped(summary_of(*named.spread)),
          "</p>");
  const auto bars = named.spread->bars(kBars);
  if (bars.size() < 2) return out + "</figure>";
  std::int64_t most = 1;
  for (const Spread::Bar& bar : bars) most = std::max(most, bar.count);
  constexpr double kWidth = 360, kHeight = 110;
  const double step = kWidth / static_cast<double>(bars.size());
  out += cat("<svg class=\"bars\" viewBox=\"0 0 ", kWidth, " ", kHeight + 18,
             "\" role=\"img\" aria-label=\"histogram\">");
  std::string rows;
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const double height = kHeight * static_cast<double>(bars[i].count) / static_cast<double>(most);
    const std::string range = range_of(bars[i], named);
    out += cat("<rect x=\"", static_cast<double>(i) * step + 0.5, "\" y=\"", kHeight - height, "\" width=\"",
               std::max(step - 1, 0.5), "\" height=\"", height, "\"><title>", range, ": ", bars[i].count,
               "</title></rect>");
    rows += cat("<tr><th>", range, "</th><td class=\"number\">", bars[i].count, "</td></tr>");
  }
  out += cat("<line class=\"axis\" x1=\"0\" x2=\"", kWidth, "\" y1=\"", kHeight, "\" y2=\"", kHeight,
             "\"/><text x=\"0\" y=\"", kHeight + 14, "\">", number(bars.front().from), "</text><text x=\"",
             kWidth, "\" y=\"", kHeight + 14, "\" text-anchor=\"end\">", number(bars.back().to),
             "</text></svg>");
  return cat(out, "<details><summary>Numbers</summary><div class=\"scroll\" tabindex=\"0\"><table><tbody>",
             rows, "</tbody></table></div></details></figure>");
}

std::string section(const Inspected::Set& set, std::int64_t sequence_length) {
  std::string out = cat("<h2>", set.key, "</h2><p>", set.found.samples, " samples in an epoch, ",
                        set.found.looked_at, " looked at.</p>");
  const auto remarks = remarks_on(set, sequence_length);
  if (!remarks.empty()) out += "<ul class=\"notes\">";
  for (const std::string& remark : remarks) out += cat("<li>", escaped(remark), "</li>");
  if (!remarks.empty()) out += "</ul>";
  out += "<div class=\"grid\">";
  for (const NamedSpread& each : spreads_of(set.found)) out += figure(each);
  return out + "</div>";
}

std::string row_of(const ShownSample& sample) {
  std::string out = "<div class=\"card row\">";
  for (const ShownSample::Stretch& stretch : sample.stretches) {
    if (stretch.item >= 0) {
      const ShownSample::Item& item = sample.items[static_cast<std::size_t>(stretch.item)];
      out += cat("<span class=\"features\">", stretch.ids.size(), " features of ", escaped(item.placeholder),
                 "</span>");
    }
    for (std::size_t i = 0; i < stretch.texts.size(); ++i)
      out += cat("<span", stretch.learnt ? " class=\"learnt\"" : "", " title=\"token ",
                 stretch.first + static_cast<std::int64_t>(i) + 1, ", id ", stretch.ids[i],
                 stretch.learnt ? ", learnt" : "", "\">", escaped(stretch.texts[i]), "</span>");
  }
  return out + "</div>";
}

Result<std::string> section(const ShownSample& sample) {
  std::string out =
      cat("<h2>Sample ", sample.number, ", as the model sees it</h2><p>", escaped(sample.place), ": ",
          sample.tokens, " tokens, ", sample.learnt, " of them learnt",
          sample.cut_off > 0 ? cat("; ", sample.cut_off, " more are cut off") : "", ".</p>",
          "<div class=\"key\"><span><i class=\"swatch\" style=\"background:var(--right)\"></i>learnt"
          "</span></div>",
          row_of(sample), "<div class=\"grid\" style=\"margin-top:1rem\">");
  for (const ShownSample::Item& item : sample.items) {
    const auto png = dataio::encode_png(item.picture);
    if (!png) return tl::unexpected(png.error());
    out += cat("<figure class=\"item", item.file.width > 0 ? "" : " sound", "\"><figcaption><b>",
               escaped(item.placeholder),
               "</b></figcaption><img alt=\"what the encoder gets\" src=\"data:image/png;base64,",
               base64(*png), "\"><p class=\"small soft\">", escaped(describe(item)), "</p></figure>");
  }
  return out + "</div>";
}

}  // namespace

Result<std::string> to_html(const Inspected& inspected, const std::string& made_by) {
  std::string body = cat("<h1>", escaped(inspected.config), "</h1><p class=\"soft small\">Data inspected by ",
                         escaped(made_by), ".</p>");
  for (const Inspected::Set& set : inspected.sets) body += section(set, inspected.sequence_length);
  if (inspected.sample) {
    const auto shown = section(*inspected.sample);
    if (!shown) return shown;
    body += *shown;
  }
  return report::document("Data of " + inspected.config, kStyle, cat("<main>", body, "</main>"));
}

}  // namespace cornstarch::app
