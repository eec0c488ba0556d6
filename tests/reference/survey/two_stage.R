# Two-stage, three-stage and single-unit designs, and what the blocks of the other files leave out.
# Written with R 4.2.2 (2022-11-10 r83330), survey 4.1-1, Debian 12. Run in this folder: Rscript two_stage.R
# Output: two_stage.json and ../data/apiclus2.csv (the survey package's apiclus2, selected columns, values unchanged).
suppressMessages(library(survey))
data(api)
kept <- c("dnum", "snum", "stype", "sch.wide", "api99", "api00", "meals", "ell", "mobility", "enroll", "api.stu", "pw",
          "fpc1", "fpc2")
write.csv(apiclus2[kept], "../data/apiclus2.csv", row.names = FALSE, quote = FALSE, na = "")
apiclus2$half <- ifelse(apiclus2$dnum %% 2 == 0, "even", "odd")
apiclus2$fpc_half <- ifelse(apiclus2$half == "even", 400, 357)
designs <- list(
  clus2 = svydesign(id = ~dnum + snum, fpc = ~fpc1 + fpc2, data = apiclus2),
  clus2_nofpc = svydesign(id = ~dnum + snum, weights = ~pw, data = apiclus2),
  clus2_halves = svydesign(id = ~dnum + snum, strata = ~half, fpc = ~fpc_half + fpc2, weights = ~pw, data = apiclus2)
)
number <- function(x) paste0("[", paste(formatC(as.numeric(x), digits = 17, format = "g"), collapse = ", "), "]")
field <- function(name, x) sprintf('"%s": %s', name, number(x))
object <- function(name, fields) sprintf('"%s": {%s}', name, paste(fields, collapse = ",\n  "))
block <- function(name) {
  d <- designs[[name]]
  m <- svymean(~api00, d, deff = TRUE)
  t <- svytotal(~enroll, d, na.rm = TRUE)
  n <- svymean(~enroll, d, na.rm = TRUE)
  two <- svymean(~api99 + api00, d)
  by <- svyby(~api00, ~stype, d, svymean, keep.var = TRUE)
  r <- svyratio(~api00, ~api99, d)
  object(name, c(field("degf", degf(d)), field("sum_w", sum(weights(d))),
    field("mean_api00", c(coef(m), SE(m), deff(m))), field("mean_api00_ci", confint(m, df = degf(d))),
    field("total_enroll", c(coef(t), SE(t))), field("mean_enroll", c(coef(n), SE(n))),
    field("two_vcov", vcov(two)), field("by_stype", coef(by)), field("by_stype_se", SE(by)),
    field("ratio", c(coef(r), SE(r)))))
}
# Three stages in two strata; the second column of units is one town's streets, the third its households.
small <- expand.grid(person = 1:2, house = 1:3, street = 1:2, town = 1:3, stratum = 1:2)
small <- small[!(small$town == 3 & small$street == 2 & small$house == 3), ]
small$y <- (small$stratum * 3 + (small$town * 7) %% 5 + (small$street * small$house * 11) %% 7 +
            (small$person * small$house * small$town) %% 4) / 2
small$N1 <- ifelse(small$stratum == 1, 12, 20)
small$N2 <- 5 + small$town
small$N3 <- 9
small$w <- with(small, (N1 / 3) * (N2 / 2) * (N3 / ave(house, stratum, town, street, FUN = function(h) length(unique(h)))))
small$id1 <- with(small, stratum * 10 + town)
small$id2 <- with(small, id1 * 10 + street)
small$id3 <- with(small, id2 * 10 + house)
three <- svydesign(id = ~id1 + id2 + id3, strata = ~stratum, fpc = ~N1 + N2 + N3, weights = ~w, data = small)
m3 <- svymean(~y, three)
t3 <- svytotal(~y, three)
out3 <- object("three", c(sapply(c("stratum", "town", "street", "house", "y", "N1", "N2", "N3", "w"),
    function(v) field(v, small[[v]])), field("mean", c(coef(m3), SE(m3))), field("total", c(coef(t3), SE(t3)))))
# A stratum with a single unit.
lonely <- small[!(small$stratum == 2 & small$town > 1), ]
alone <- svydesign(id = ~id1, strata = ~stratum, weights = ~w, data = lonely)
se <- sapply(c("certainty", "adjust", "average"), function(o) { options(survey.lonely.psu = o); SE(svymean(~y, alone)) })
options(survey.lonely.psu = "fail")
out_lonely <- object("lonely", c(field("row", as.numeric(rownames(small)) * 0 + (rownames(small) %in% rownames(lonely))),
    field("certainty", se[1]), field("centred", se[2]), field("average", se[3])))
# Statistics of apiclus1 that the stored blocks do not hold.
clus1 <- svydesign(id = ~dnum, weights = ~pw, fpc = ~fpc, data = apiclus1)
ci <- svyciprop(~I(stype == "H"), clus1, method = "logit", df = degf(clus1))
by <- svyby(~api00, ~stype, clus1, svymean, covmat = TRUE)
g <- svyglm(api00 ~ stype + meals, clus1)
term <- regTermTest(g, ~stype)
first <- svychisq(~stype + sch.wide, clus1, statistic = "Chisq")
raked <- rake(clus1, list(~stype, ~sch.wide), list(data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018)),
  data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))), control = list(maxit = 200, epsilon = 1e-10))
post <- postStratify(clus1, ~stype, data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018)))
by_raked <- svyby(~api00, ~sch.wide, raked, svymean)
by_post <- svyby(~api00, ~sch.wide, post, svymean)
g_post <- svyglm(api00 ~ ell + meals, post)
r_post <- svyratio(~api.stu, ~enroll, post)
more <- object("clus1_more", c(field("logit_H", c(coef(ci), attr(ci, "ci"))), field("by_stype_vcov", vcov(by)),
  field("glm", c(coef(g))), field("glm_se", SE(g)), field("glm_term", c(term$Ftest, term$df, term$ddf, term$p)),
  field("first_order", c(first$statistic, first$p.value)), field("raked_by_schwide", c(coef(by_raked), SE(by_raked))),
  field("post_by_schwide", c(coef(by_post), SE(by_post))), field("post_glm", c(coef(g_post), SE(g_post))),
  field("post_ratio", c(coef(r_post), SE(r_post)))))
meta <- sprintf('"meta": {"source": "survey %s, %s"}', packageVersion("survey"), R.version.string)
writeLines(paste0("{", paste(c(meta, sapply(names(designs), block), out3, out_lonely, more), collapse = ",\n"), "}"),
           "two_stage.json")
