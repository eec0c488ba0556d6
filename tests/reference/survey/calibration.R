# Calibrated weights of the API cluster sample: linear, raking and logit distances, with and without bounds.
# Written with R 4.2.2 (2022-10-31), survey 4.1-1, Debian 12. Run in this folder: Rscript calibration.R
# The standard errors of "chain" are R's order of two calibrations (first step first); ours is the derivative by the
# base weights (last step first), another number, so only its weights are compared.
# Output: calibration.json, weights in the row order of ../data/apiclus1.csv; se of the means by Taylor linearisation.
suppressMessages(library(survey))
data(api)
clus1 <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc)
stype <- c(`(Intercept)` = 6194, stypeH = 755, stypeM = 1018)
known <- c(stype, api99 = 3914069)
both <- c(stype, sch.wideYes = 5122)
cases <- list(
  greg = calibrate(clus1, ~stype + api99, known, epsilon = 1e-12),
  linear_bounded = calibrate(clus1, ~stype + api99, known, bounds = c(0.6, 1.6), epsilon = 1e-12, maxit = 200),
  raking = calibrate(clus1, ~stype + api99, known, calfun = "raking", epsilon = 1e-12, maxit = 200),
  raking_bounded = calibrate(clus1, ~stype + api99, known, calfun = "raking", bounds = c(0.6, 1.8), epsilon = 1e-12,
                             maxit = 200),
  raking_margins = calibrate(clus1, ~stype + sch.wide, both, calfun = "raking", epsilon = 1e-12, maxit = 200),
  logit = calibrate(clus1, ~stype + api99, known, calfun = "logit", bounds = c(0.5, 2.0), epsilon = 1e-12, maxit = 200),
  chain = calibrate(postStratify(clus1, ~stype, data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018))),
                    ~api99, c(`(Intercept)` = 6194, api99 = 3914069), epsilon = 1e-12)
)
number <- function(x) paste(formatC(x, digits = 17, format = "g"), collapse = ", ")
block <- function(name) {
  d <- cases[[name]]
  mean <- svymean(~api00, d)
  total <- svytotal(~enroll, d)
  sprintf('"%s": {"mean_api00": %s, "se_mean_api00": %s, "total_enroll": %s, "se_total_enroll": %s,\n "weights": [%s]}',
          name, number(coef(mean)), number(SE(mean)), number(coef(total)), number(SE(total)), number(weights(d)))
}
meta <- sprintf('"meta": {"source": "survey %s, %s", "total_api99": 3914069, "N": 6194}',
                packageVersion("survey"), R.version.string)
writeLines(c("{", meta, ",", paste(sapply(names(cases), block), collapse = ",\n"), "}"), "calibration.json")
