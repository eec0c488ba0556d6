# One two-stage sample with everything at once: three strata, population sizes at both stages, unequal weights, ties,
# missing answers, weights of zero; plain and adjusted (post-stratified, raked, calibrated, logit with bounds); jackknife.
# Written with R 4.2.2 (2022-11-10 r83330), survey 4.1-1, Debian 12. Run in this folder: Rscript mixed_design.R
# Input: ../data/mixed_design.csv (invented answers; the rows in no order). Output: mixed_design.json.
suppressMessages(library(survey))
d <- read.csv("../data/mixed_design.csv", stringsAsFactors = TRUE)
d$unit2 <- paste(d$town, d$district)
out <- list()
put <- function(name, x) out[[name]] <<- as.numeric(x)
both <- function(x) c(coef(x), SE(x))
medians <- function(column, design, q) t(svyquantile(column, design, q, qrule = "math", interval.type = "mean")[[1]])
designs <- list(
  two = svydesign(id = ~town + unit2, strata = ~stratum, fpc = ~towns + districts, weights = ~w, data = d),
  zero = svydesign(id = ~town + unit2, strata = ~stratum, fpc = ~towns + districts, weights = ~w0, data = d))
for (name in names(designs)) {
  design <- designs[[name]]
  p <- function(key, x) put(paste(name, key), x)
  covariances <- name != "zero"  # svyby(covmat = TRUE) stops at weights of zero
  m <- svymean(~y + x + z, design, deff = TRUE)
  p("mean", coef(m)); p("mean_vcov", vcov(m)); p("mean_deff", deff(m)); p("df", degf(design))
  p("mean_deff_replace", deff(svymean(~y + x + z, design, deff = "replace")))
  p("mean_gap", both(svymean(~y_gap, design, na.rm = TRUE)))
  p("total_gap", both(svytotal(~y_gap, design, na.rm = TRUE)))
  t <- svytotal(~z, design, deff = TRUE); p("total", c(both(t), deff(t)))
  b <- svyby(~y + z, ~group + sex, design, svymean, covmat = covariances)
  p("by_two", coef(b)); p("by_two_se", unlist(SE(b))); if (covariances) p("by_two_vcov", vcov(b))
  b <- svyby(~y, ~group, design, svymean, deff = TRUE, covmat = covariances); p("by", c(both(b), deff(b)))
  if (covariances) { p("by_vcov", vcov(b)); p("by_difference", both(svycontrast(b, c(1, -1, 0)))) }
  p("by_total", both(svyby(~z, ~group, design, svytotal)))
  b <- svyby(~z, ~group, denominator = ~x, design, svyratio, covmat = covariances)
  p("by_ratio", coef(b)); if (covariances) p("by_ratio_vcov", vcov(b))
  r <- svyratio(~z, ~x, design, deff = TRUE); p("ratio", c(both(r), deff(r)))
  p("variance", both(svyvar(~z, design)))
  p("quantiles_ties", medians(~y, design, c(.1, .25, .5, .75, .9))); p("quantiles", medians(~z, design, c(.1, .25, .5, .75, .9)))
  s <- subset(design, group == "b" & sex == "f"); m <- svymean(~y + z, s)
  p("subset", c(both(m), degf(s))); p("subset_total", both(svytotal(~z, s))); p("subset_median", medians(~z, s, .5))
  g <- suppressWarnings(svyglm(y ~ x + group + sex, design)); term <- suppressWarnings(regTermTest(g, ~group))
  p("glm", coef(g)); p("glm_vcov", vcov(g)); p("glm_df", g$df.residual); p("glm_term", c(term$Ftest, term$df, term$ddf, term$p))
  p("glm_gap", both(suppressWarnings(svyglm(y_gap ~ x_gap + group, design))))
  x <- svychisq(~group + sex, design, statistic = "F"); p("second_order", c(x$statistic, x$parameter, x$p.value))
  x <- svychisq(~group + y, design, statistic = "F"); p("second_order_sparse", c(x$statistic, x$parameter, x$p.value))
  x <- svychisq(~group + sex, design, statistic = "Chisq"); p("first_order", c(x$statistic, x$parameter, x$p.value))
  x <- suppressWarnings(svyttest(y ~ sex, design)); p("t_test", c(x$estimate, x$statistic, x$parameter, x$p.value))
}
two <- designs$two
N <- sum(weights(two))
group <- c(.45, .33, .22) * N
margins <- c(`(Intercept)` = N, groupb = group[2], groupc = group[3], sexm = .52 * N)
adjusted <- list(
  post = postStratify(two, ~group, data.frame(group = c("a", "b", "c"), Freq = group)),
  raked = calibrate(two, ~group + sex, margins, calfun = "raking", epsilon = 1e-12),
  linear = calibrate(two, ~group + x, c(margins[1:3], x = 6.6 * N)),
  logit = calibrate(two, ~group + sex, margins, calfun = "logit", bounds = c(.3, 3), epsilon = 1e-12))
for (name in names(adjusted)) {
  design <- adjusted[[name]]
  p <- function(key, x) put(paste(name, key), x)
  m <- svymean(~y + z, design); p("mean", coef(m)); p("mean_vcov", vcov(m)); p("total", both(svytotal(~z, design)))
  p("by", both(svyby(~y, ~sex, design, svymean))); p("ratio", both(svyratio(~z, ~x, design)))
  g <- svyglm(y ~ x + sex, design); p("glm", coef(g)); p("glm_vcov", vcov(g)); p("median", medians(~z, design, .5))
  p("mean_gap", both(svymean(~y_gap, design, na.rm = TRUE)))
  x <- svychisq(~stratum + sex, design, statistic = "F"); p("second_order", c(x$statistic, x$parameter, x$p.value))
}
# Replicates. mse = TRUE: squares about the estimate of the whole sample; the bootstrap (mse = FALSE): about its own mean.
correlation <- function(w, data) cov.wt(data[, c("y", "x")], w, cor = TRUE)$cor[1, 2]
alpha <- function(w, data) { s <- cov.wt(data[, c("y", "x", "high")], w)$cov; 1.5 * (1 - sum(diag(s)) / sum(s)) }
replicated <- function(name, design) {
  put(paste(name, "mean_se"), SE(svymean(~y + z, design))); put(paste(name, "ratio_se"), SE(svyratio(~z, ~x, design)))
  put(paste(name, "correlation"), both(withReplicates(design, correlation)))
  put(paste(name, "alpha"), both(withReplicates(design, alpha)))
}
towns <- function(...) svydesign(id = ~town, weights = ~w, data = d, ...)
replicated("jkn_fpc", as.svrepdesign(towns(strata = ~stratum, fpc = ~towns), type = "JKn", mse = TRUE))
replicated("jkn", as.svrepdesign(towns(strata = ~stratum), type = "JKn", mse = TRUE))
replicated("jk1", as.svrepdesign(towns(), type = "JK1", mse = TRUE))
set.seed(3)
boot <- as.svrepdesign(towns(strata = ~stratum), type = "subbootstrap", replicates = 12, mse = FALSE)
first <- match(levels(d$town), d$town)
put("bootstrap multipliers", t(weights(boot, type = "replication")[first, ]))  # towns in the order of their names
replicated("bootstrap", boot)
numbers <- function(x) paste0("[", paste(ifelse(is.finite(x), formatC(x, digits = 16, format = "g"), "null"), collapse = ", "), "]")
meta <- sprintf('"meta": {"source": "survey %s, %s"}', packageVersion("survey"), R.version.string)
writeLines(paste0("{", paste(c(meta, sprintf('"%s": %s', names(out), sapply(out, numbers))), collapse = ",\n"), "}"),
           "mixed_design.json")
